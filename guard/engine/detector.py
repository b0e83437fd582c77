"""Events in, alerts out: the rules that can match an event, tried in order."""

from __future__ import annotations

from os import O_TRUNC
from typing import TYPE_CHECKING

from guard.alert import Action, Alert, Verdict
from guard.engine import ir
from guard.engine.constants import Constants
from guard.engine.fields import Context
from guard.engine.index import BranchesByCall, first_match
from guard.engine.unruled import note_on
from guard.event import (
    VERDICT_DENIED,
    VERDICT_KILLED,
    Event,
    FileOpen,
    NetworkConnect,
    Process,
    ProcessExec,
)

if TYPE_CHECKING:
    from guard.engine.output import OutputTemplate


class Detector:
    """Tries the rules of one policy on a stream of events, first match only.

    Rules that enforce come before rules that only alert, so that no alert rule
    hides a denial. An event the kernel decided on is not tested again: the rule
    it names makes the alert, also where the kernel takes a rule further than its
    text goes. What it stopped without a rule is an alert of guard's own.
    """

    def __init__(self, policy: ir.Policy, constants: Constants) -> None:
        self._policy = policy
        self._constants = constants
        self._number = 0
        self._templates: dict[str, OutputTemplate] = {}  # by their text, made when needed
        self._branches = BranchesByCall(policy, constants)

    @property
    def events(self) -> int:
        """How many events were seen; the number of the last one."""
        return self._number

    def expect(self, call: str) -> None:
        """Get ready for events of this call."""
        _made = self._branches[call]

    def warm(self) -> None:
        """Do now what would otherwise delay the first alerts: a tenth of a second's work."""
        for call in sorted({call for rule in self._policy.rules for call in rule.calls}):
            self.expect(call)
        for rule in self._policy.rules:
            self._template(rule.output)

    def match(self, event: Event, process: Process) -> list[Alert]:
        """The alert for one event, or none.

        `process` is the process as it is after the event. An enforcing rule
        that the kernel did not decide gives `NOT_ENFORCED`: what is done about
        it later changes that.
        """
        self._number += 1
        if event.verdict:
            return [self._decided(event, process)]
        branches = self._branches[event.call]
        if not branches:
            return []
        context = Context(event, process, self._constants, self._number)
        rule = first_match(branches, context)
        if rule is None:
            return []
        is_alert = rule.action is Action.ALERT
        verdict = Verdict.ALERT if is_alert else Verdict.NOT_ENFORCED
        return [self._alert(rule, context, verdict)]

    def _decided(self, event: Event, process: Process) -> Alert:
        context = Context(event, process, self._constants, self._number)
        verdict = kernel_verdict(event)
        if 0 < event.rule <= len(self._policy.rules):
            return self._alert(self._policy.rules[event.rule - 1], context, verdict)
        note = note_on(event)
        template = self._template(note.output)
        return Alert(
            rule=note.rule,
            priority=note.priority,
            time_ns=event.time_ns,
            source="internal",
            message=template.render(context),
            output_fields=template.fields(context),
            tags=(),
            action=Action.DENY if verdict is Verdict.DENIED else Action.KILL,
            verdict=verdict,
            remedy=note.remedy,
            event=event,
            process=process,
        )

    def _alert(self, rule: ir.Rule, context: Context, verdict: Verdict) -> Alert:
        template = self._template(rule.output)
        return Alert(
            rule=rule.name,
            priority=rule.priority,
            time_ns=context.event.time_ns,
            source="syscall",
            message=template.render(context),
            output_fields=template.fields(context),
            tags=rule.tags,
            action=rule.action,
            verdict=verdict,
            remedy=rule.remedy,
            event=context.event,
            process=context.process,
        )

    def _template(self, output: str) -> OutputTemplate:
        from guard.engine.output import OutputIssue, OutputTemplate  # noqa: PLC0415  see `warm`

        template = self._templates.get(output)
        if template is None:
            parsed = OutputTemplate.parse(output)
            assert not isinstance(parsed, OutputIssue)  # INVARIANT: the loader refuses such a rule
            template = self._templates[output] = parsed
        return template


def kernel_verdict(event: Event) -> Verdict:
    """What the kernel's verdict on an event amounts to for the operation.

    A kill comes before the process runs on. That is in time for an exec, a
    connect and an open that changed nothing; other operations have happened.
    """
    if event.verdict == VERDICT_DENIED:
        return Verdict.DENIED
    assert event.verdict == VERDICT_KILLED  # INVARIANT: the third of three
    match event:
        case ProcessExec() | NetworkConnect():
            return Verdict.KILLED
        case FileOpen() if not event.created and not event.open_flags & O_TRUNC:
            return Verdict.KILLED
    return Verdict.KILLED_AFTER

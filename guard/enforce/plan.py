"""Policy and support: what each rule gets on this machine, and why not more."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from guard.alert import Action
from guard.data import dataclass
from guard.enforce.support import TIER_TRACE, Support
from guard.engine.kernel_plan import (
    WORD_BITS,
    Family,
    KernelPlan,
    KindLowering,
    OperationBit,
    Term,
    TermAction,
)
from guard.errors import UnsupportedError

if TYPE_CHECKING:  # a session with a cached policy needs no rules
    from guard.engine import ir


class Effect(enum.Enum):
    """What happens to an operation that a rule matches, weakest first."""

    ALERT = "alert"
    FREEZE = "freeze"  # the session stops, the operation has completed
    KILL_AFTER = "kill-after"  # the process dies, the operation has completed
    KILL = "kill"  # the process dies before it can use what it got
    DENY = "deny"  # the operation fails, nothing happens

    @property
    def strength(self) -> int:
        return list(Effect).index(self)


_WANTED = {
    Action.ALERT: Effect.ALERT,
    Action.FREEZE: Effect.FREEZE,
    Action.KILL: Effect.KILL,
    Action.DENY: Effect.DENY,
}
_NAMED = 3  # rules in a message
# Killed on the way out of these calls, a process has gained nothing: it never
# reads the file, never runs the program, never talks to the peer.
_KILLED_IN_TIME = frozenset({"file_open", "process_exec", "network_connect"})
_REFUSED_BY_CGROUP = frozenset({"network_connect", "network_send"})
_IP_BITS = (OperationBit.IPV4, OperationBit.IPV6, OperationBit.TCP, OperationBit.UDP)
_IP_FAMILIES = frozenset({Family.ADDRESS, Family.PORT})


@dataclass(frozen=True, slots=True)
class KindEnforcement:
    """What a rule gets for one kind of event; `reason` is "" when that is what it asks for."""

    kind: str
    effect: Effect
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What a rule gets on this machine."""

    rule: str
    action: Action
    kinds: tuple[KindEnforcement, ...]

    @property
    def effect(self) -> Effect:
        """The weakest over all kinds of event."""
        if not self.kinds:
            return _WANTED[self.action]  # can never match: nothing falls short
        return min((kind.effect for kind in self.kinds), key=lambda effect: effect.strength)

    @property
    def reason(self) -> str:
        """Why it is less than the rule asks for, "" when it is not."""
        reasons = dict.fromkeys(f"{kind.kind}: {kind.reason}" for kind in self.kinds if kind.reason)
        return "; ".join(reasons)

    @property
    def falls_short(self) -> bool:
        return self.effect.strength < _WANTED[self.action].strength


def enforcement(policy: ir.Policy, plan: KernelPlan, support: Support) -> tuple[Enforcement, ...]:
    """What every rule of `policy` gets, in their order."""
    return tuple(
        Enforcement(
            rule.name,
            rule.action,
            tuple(_for_kind(rule, kind, plan, support) for kind in lowering.kinds),
        )
        for rule, lowering in zip(policy.rules, plan.rules, strict=True)
    )


def require_block(enforcements: Iterable[Enforcement]) -> None:
    """Raise UnsupportedError when a `deny` rule gets less than a denial."""
    short = [item for item in enforcements if item.action is Action.DENY and item.falls_short]
    if short:
        names = ", ".join(f"`{item.rule}`" for item in short[:_NAMED])
        more = f" and {len(short) - _NAMED} more" if len(short) > _NAMED else ""
        raise UnsupportedError(
            f"this machine cannot block what {names}{more} ask for: {short[0].reason}",
            help="see all with `guard policy explain`, or start without `--require block`",
        )


def _for_kind(
    rule: ir.Rule, lowering: KindLowering, plan: KernelPlan, support: Support
) -> KindEnforcement:
    kind = lowering.kind
    if rule.action in {Action.ALERT, Action.FREEZE}:
        return KindEnforcement(kind, _WANTED[rule.action])
    if support.tier != TIER_TRACE:
        return KindEnforcement(kind, Effect.ALERT, "no kernel programs run on this machine")
    if not lowering.is_exact:
        clauses = ", ".join(
            dict.fromkeys(f"`{item.text}`" for item in lowering.residue if item.text)
        )
        why = f"user space decides {clauses or 'a part of the condition'}"
        return KindEnforcement(kind, Effect.KILL_AFTER, why)
    terms = [
        term
        for term in plan.terms.get(kind, ())
        if term.rule == rule.index and term.action in {TermAction.KILL, TermAction.DENY}
    ]
    is_ip_only = bool(terms) and all(_is_ip_only(term, plan) for term in terms)
    if rule.action is Action.DENY and kind in _REFUSED_BY_CGROUP and is_ip_only:
        return KindEnforcement(kind, Effect.DENY)
    effect = Effect.KILL if kind in _KILLED_IN_TIME else Effect.KILL_AFTER
    if effect is _WANTED[rule.action]:
        return KindEnforcement(kind, effect)
    return KindEnforcement(kind, effect, _shortfall(kind, effect))


def _shortfall(kind: str, effect: Effect) -> str:
    if kind in _REFUSED_BY_CGROUP:
        return "without BPF LSM only IP addresses can be refused, not unix sockets"
    if effect is Effect.KILL:
        return "without BPF LSM the call is not refused, the process dies on its way out of it"
    return "without BPF LSM the process is killed when the call has been carried out"


def _is_ip_only(term: Term, plan: KernelPlan) -> bool:
    if any(term.must[0] >> int(bit) & 1 for bit in _IP_BITS):
        return True
    return any(
        placed.predicate.family in _IP_FAMILIES and _has(term.must, placed.bit)
        for placed in plan.predicates
        if not placed.is_program
    )


def _has(words: Sequence[int], bit: int) -> bool:
    return bool(words[bit // WORD_BITS] >> bit % WORD_BITS & 1)

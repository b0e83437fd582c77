"""Macro references replaced by the macros' bodies, on the tree.

Bodies are shared, not copied: a macro that a hundred rules use exists once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from guard.data import dataclass
from guard.engine.diagnostics import Code, Diagnostic, did_you_mean
from guard.engine.source import Location, MappedText
from guard.engine.syntax import And, Check, Expr, MacroRef, Not, Or, Span
from guard.engine.tables import MacroEntry
from guard.engine.walk import leaves

MAX_DEPTH = 1000  # levels of a rule's tree, all macros in place
MAX_CHECKS = 250_000  # comparisons of a rule; macros of macros multiply


class Locator(Protocol):
    """Turns spans into places."""

    def locate(self, span: Span) -> Location: ...


@dataclass(frozen=True, slots=True)
class _Body:
    expr: Expr
    depth: int
    checks: int


class Macros:
    """The macros of a load with their parsed bodies; None for one with an error."""

    def __init__(
        self,
        entries: Mapping[str, MacroEntry],
        bodies: Mapping[str, Expr | None],
        locator: Locator,
        diagnostics: list[Diagnostic],
    ) -> None:
        self.used: set[str] = set()
        self._entries = entries
        self._locator = locator
        self._diagnostics = diagnostics
        self._references = {
            name: () if body is None else references(body) for name, body in bodies.items()
        }
        for found in self._references.values():
            self.used.update(reference.name for reference in found)
        self._resolved: dict[str, _Body | None] = {}
        for name in entries:
            self._resolve(name, bodies)

    def inline(self, expr: Expr, item: str, condition: MappedText) -> Expr | None:
        """A rule's expression with macros in place; None when it cannot be had."""
        found = references(expr)
        self.used.update(reference.name for reference in found)
        known = [self._check_defined(reference, item) for reference in found]
        if not all(known):
            return None
        body = self._substitute(expr, item, condition.locate())
        return body.expr if body else None

    def _check_defined(self, reference: MacroRef, item: str) -> bool:
        if reference.name in self._entries:
            return self._resolved[reference.name] is not None
        self._undefined(reference, item, "")
        return False

    def _undefined(self, reference: MacroRef, item: str, help: str) -> None:
        if reference.name in ("and", "or", "not"):
            help = f"`{reference.name}` needs a condition after it"
        self._diagnostics.append(
            Diagnostic(
                Code.UNDEFINED_MACRO,
                f"undefined macro `{reference.name}` used in filter",
                self._locator.locate(reference.span),
                help=help
                or did_you_mean(reference.name, self._entries)
                or "define it with `- macro: …` before it is used; fields have a dot in their name",
                item=item,
            )
        )

    def _resolve(self, start: str, bodies: Mapping[str, Expr | None]) -> None:
        """Fills `_resolved` for `start` and all it refers to, depth first."""
        path: list[str] = []
        on_path: set[str] = set()
        # A name is met twice: to push what it needs, then to put that in.
        pending = [(start, False)]
        while pending:
            name, ready = pending.pop()
            if ready:
                path.pop()
                on_path.discard(name)
                self._finish(name, bodies[name])
            elif name not in self._resolved:
                path.append(name)
                on_path.add(name)
                pending.append((name, True))
                for reference in self._references[name]:
                    is_visible = self._is_visible(name, reference.name)
                    if reference.name in on_path and (is_visible or reference.name == name):
                        self._loop(name, reference, path)
                    elif is_visible:
                        pending.append((reference.name, False))

    def _finish(self, name: str, body: Expr | None) -> None:
        complete = body is not None and name not in self._resolved
        self._resolved[name] = None
        item = f"macro `{name}`"
        for reference in self._references[name]:
            if reference.name == name:
                complete = False  # reported as a loop
            elif not self._is_visible(name, reference.name):
                self._undefined(reference, item, self._defined_later(reference.name))
                complete = False
            elif self._resolved.get(reference.name) is None:
                complete = False
        if complete:
            assert body is not None
            self._resolved[name] = self._substitute(body, item, self._entries[name].location)

    def _is_visible(self, name: str, reference: str) -> bool:
        other = self._entries.get(reference)
        return other is not None and other.index < self._entries[name].visibility

    def _defined_later(self, name: str) -> str:
        other = self._entries.get(name)
        return f"it is defined later, at {other.location}: move it before" if other else ""

    def _loop(self, name: str, reference: MacroRef, path: list[str]) -> None:
        start = path.index(reference.name)
        circle = " → ".join(f"`{step}`" for step in (*path[start:], reference.name))
        for step in path[start:]:
            self._resolved[step] = None
        self._diagnostics.append(
            Diagnostic(
                Code.MACRO_LOOP,
                f"reference loop in macro `{reference.name}`",
                self._locator.locate(reference.span),
                help=f"the loop is {circle}",
                item=f"macro `{name}`",
            )
        )

    def _substitute(self, expr: Expr, item: str, location: Location) -> _Body | None:
        """Puts bodies in place; without recursion, as trees may be deep."""
        results: list[_Body] = []
        pending: list[tuple[Expr, bool]] = [(expr, False)]
        while pending:
            node, ready = pending.pop()
            if isinstance(node, Check):
                results.append(_Body(node, 1, 1))
            elif isinstance(node, MacroRef):
                body = self._resolved[node.name]
                assert body is not None
                results.append(body)
            elif not ready:
                pending.append((node, True))
                children = (node.child,) if isinstance(node, Not) else node.children
                pending += [(child, False) for child in reversed(children)]
            else:
                count = 1 if isinstance(node, Not) else len(node.children)
                results[-count:] = [_combined(node, results[-count:])]
                if results[-1].depth > MAX_DEPTH or results[-1].checks > MAX_CHECKS:
                    self._too_large(item, location)
                    return None
        return results[0]

    def _too_large(self, item: str, location: Location) -> None:
        self._diagnostics.append(
            Diagnostic(
                Code.CONDITION_TOO_LARGE,
                "condition is too large with all macros in place",
                location,
                help=f"the limits are {MAX_DEPTH} levels and {MAX_CHECKS} comparisons",
                item=item,
            )
        )


def references(expr: Expr) -> tuple[MacroRef, ...]:
    """Every macro reference in the tree, in the order of the text."""
    return tuple(leaf for leaf in leaves(expr) if isinstance(leaf, MacroRef))


def _combined(node: Not | And | Or, parts: list[_Body]) -> _Body:
    depth = 1 + max(part.depth for part in parts)
    checks = sum(part.checks for part in parts)
    if isinstance(node, Not):
        if parts[0].expr is node.child:
            return _Body(node, depth, checks)
        return _Body(Not(node.span, parts[0].expr), depth, checks)
    children = tuple(part.expr for part in parts)
    if all(new is old for new, old in zip(children, node.children, strict=True)):
        return _Body(node, depth, checks)
    return _Body(type(node)(node.span, children), depth, checks)

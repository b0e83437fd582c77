"""Walks over syntax trees without recursion: trees may be a thousand levels deep."""

from __future__ import annotations

from collections.abc import Iterator

from guard.engine.syntax import Check, Expr, MacroRef, Not


def leaves(expr: Expr) -> Iterator[Check | MacroRef]:
    """Every check and macro reference, in the order of the text."""
    pending = [expr]
    while pending:
        node = pending.pop()
        if isinstance(node, Check | MacroRef):
            yield node
        elif isinstance(node, Not):
            pending.append(node.child)
        else:
            pending += reversed(node.children)

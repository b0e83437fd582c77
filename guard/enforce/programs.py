"""The program bits of processes that run before the kernel could compute them."""

from __future__ import annotations

import os

from guard.enforce.tags import PathTree
from guard.engine.kernel_plan import KernelPlan, Name, NameMatch
from guard.event import Process


def program_words(plan: KernelPlan, tree: PathTree, process: Process) -> dict[str, int]:
    """The members of `struct task_state` that say what runs, for a process that runs already.

    The kernel computes them at exec and hands them on at fork; this is for the
    first process of a session and for a policy loaded later. The program is
    looked up by the text of its path.
    """
    parent = process.parent
    ancestors = 0
    while parent is not None:
        ancestors |= _program_bits(plan, tree, parent)
        parent = parent.parent
    return {
        "program": _program_bits(plan, tree, process),
        "parent": _program_bits(plan, tree, process.parent) if process.parent else 0,
        "ancestors": ancestors,
    }


def _program_bits(plan: KernelPlan, tree: PathTree, process: Process) -> int:
    path = os.fsencode(process.exepath)
    bits = tree.closed_bits(path).itself.program if path.startswith(b"/") else 0
    leaf = path.rpartition(b"/")[2]
    for placed in plan.predicates:
        if placed.is_program and any(
            _names(source, leaf, os.fsencode(process.name))
            for source in placed.predicate.sources
            if isinstance(source, Name)
        ):
            bits |= 1 << placed.bit
    return bits


def _names(source: Name, leaf: bytes, program: bytes) -> bool:
    text = os.fsencode(source.text)
    match source.match:
        case NameMatch.EXACT:
            return leaf == text
        case NameMatch.SUFFIX:
            return leaf.endswith(text)
        case NameMatch.PROGRAM:
            return program == text

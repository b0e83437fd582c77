"""Lowering, as data: rules in, terms and residue out.

A case is a condition (and an action) with `terms`: for each kind of event the
lines of `render`, in the order the kernel tries them. `residue` lists what is
left to user space, `errors` is a part of each message. What is not given is
expected to be empty. ``GUARD_CORPUS_WRITE=1`` shows what came out instead.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from guard.alert import Action
from guard.engine.kernel_plan import FIRST_BIT, KernelPlan, OperationBit, Term, describe
from guard.engine.lower import lower
from tests.unit.engine.lowering import CONSTANTS, policy

FOLDER = Path(__file__).parent / "lowering"
KEYS = {"name", "condition", "action", "terms", "residue", "errors"}
CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(FOLDER.glob("*.yaml"))
    for case in yaml.safe_load(path.read_text())
]
WORDS = {3: "program", 4: "parent", 5: "ancestor"}


def render(term: Term, plan: KernelPlan) -> str:
    """A term as one line: action, then what must hold and what must not."""
    words = [
        text
        for sign, masks in (("", term.must), ("not ", term.must_not))
        for index, mask in enumerate(masks)
        for bit in range(64)
        if mask >> bit & 1
        for text in [sign + _name(index, bit, plan)]
    ]
    return " & ".join([term.action.name, *sorted(words)])


def _name(word: int, bit: int, plan: KernelPlan) -> str:
    if word == 0 and bit < FIRST_BIT:
        return OperationBit(bit).name
    number = bit if word in WORDS else word * 64 + bit
    (placed,) = [p for p in plan.predicates if p.bit == number and p.is_program == (word in WORDS)]
    sources = " | ".join(sorted(map(describe, placed.predicate.sources)))
    return f"{WORDS[word]}({sources})" if word in WORDS else f"({sources})"


@pytest.mark.parametrize("case", CASES)
def test_lowering(case):
    assert set(case) <= KEYS

    action = Action(case.get("action", "alert"))
    plan = lower(policy((case["condition"], action)), CONSTANTS)
    (rule,) = plan.rules
    terms = {kind: [render(term, plan) for term in found] for kind, found in plan.terms.items()}
    residue = sorted({item.text for item in rule.residue})
    messages = [item.message for item in plan.diagnostics]
    if os.environ.get("GUARD_CORPUS_WRITE") == "1":
        found = {"terms": terms, "residue": residue, "errors": messages}
        pytest.fail(yaml.safe_dump(found, width=1000))

    assert terms == case.get("terms", {})
    assert residue == case.get("residue", [])
    assert len(messages) == len(case.get("errors", []))
    for part, message in zip(case.get("errors", []), messages, strict=True):
        assert part in message

"""File names that let an operation off, as in `not fd.filename endswith .pub`.

A pinned inode keeps the names it was found under. Renamed or linked to such a
name later, it is not let off for that.
"""

from __future__ import annotations

import os

from guard.enforce.tags import NO_BITS, PathBits, PathTag, PinnedTags
from guard.engine.kernel_plan import (
    OBJECT_WORDS,
    WORD_BITS,
    KernelPlan,
    Name,
    NameMatch,
    TermAction,
)

ENFORCING = frozenset({TermAction.KILL, TermAction.DENY})


def name_excuses(plan: KernelPlan) -> int:
    """Bits of names that some enforcing term must not see."""
    excluded = 0
    for terms in plan.terms.values():
        for term in terms:
            if term.action in ENFORCING:
                excluded |= object_bits(term.must_not)
    return excluded & sum(1 << bit for bit in _name_sources(plan))


def object_bits(words: tuple[int, ...]) -> int:
    """Words 0..2 of a term as one number: bits of the operation."""
    return sum(word << WORD_BITS * index for index, word in enumerate(words[:OBJECT_WORDS]))


def keep_excuses(pinned: PinnedTags, plan: KernelPlan) -> None:
    """Give every pinned inode what all the names it was found under excuse it from."""
    mask = name_excuses(plan)
    sources = {bit: names for bit, names in _name_sources(plan).items() if mask >> bit & 1}
    endings = tuple({os.fsencode(name.text) for names in sources.values() for name in names})
    for descriptor, names in pinned.names.items():
        if not names[0].endswith(endings):
            continue  # most: none of the names in question
        bits = sum(
            1 << bit
            for bit, found in sources.items()
            if all(any(_is_named(source, name) for source in found) for name in names)
        )
        if bits:
            own = PathTag(PathBits(bits), NO_BITS, NO_BITS, 0)
            pinned.pins[descriptor] = pinned.pins[descriptor] | own


def _name_sources(plan: KernelPlan) -> dict[int, list[Name]]:
    return {
        placed.bit: names
        for placed in plan.predicates
        if not placed.is_program
        and (names := [each for each in placed.predicate.sources if isinstance(each, Name)])
    }


def _is_named(source: Name, name: bytes) -> bool:
    text = os.fsencode(source.text)
    return name.endswith(text) if source.match is NameMatch.SUFFIX else name == text

"""What a rule file says, item by item, before anything refers to anything."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from guard.alert import Action, Priority
from guard.engine.source import Location, MappedText


class Operation(enum.Enum):
    """What `override` does with a key."""

    APPEND = "append"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What lists, macros and rules have in common."""

    name: str
    location: Location  # of the name
    append: bool = False  # the old way to write `override: append`
    override: Mapping[str, Operation] = field(default_factory=dict)

    @property
    def is_definition(self) -> bool:
        """False when the item changes one that was defined before."""
        return not self.append and not self.override


@dataclass(frozen=True, slots=True, kw_only=True)
class ListItem(Named):
    """An entry `list:`."""

    items: tuple[MappedText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MacroItem(Named):
    """An entry `macro:`."""

    condition: MappedText


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionItem:
    """One entry of a rule's `exceptions`.

    `fields` and `comps` are None when not given; `is_list` tells whether
    `fields` was written as a list. Every tuple of `values` holds texts, or tuples
    of texts for the members that are lists themselves.
    """

    name: str
    location: Location
    fields: tuple[MappedText, ...] | None = None
    comps: tuple[MappedText, ...] | None = None
    fields_are_list: bool = False
    comps_are_list: bool = False
    values: tuple[ExceptionValue, ...] | None = None


@dataclass(frozen=True, slots=True)
class ExceptionValue:
    """One entry of `values`: a text, or a list with its place."""

    location: Location
    members: tuple[ExceptionValue, ...] | None = None
    text: MappedText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleItem(Named):
    """`rule:`; a key that is not in the file is None."""

    condition: MappedText | None = None
    output: MappedText | None = None
    description: MappedText | None = None
    priority: Priority | None = None
    action: Action | None = None
    remedy: MappedText | None = None
    source: str | None = None
    enabled: bool | None = None
    tags: tuple[str, ...] | None = None
    warn_evttypes: bool | None = None
    skip_if_unknown_filter: bool | None = None
    capture: bool | None = None
    capture_duration_ms: int | None = None
    exceptions: tuple[ExceptionItem, ...] | None = None

    @property
    def is_switch(self) -> bool:
        """True for the old way to switch a rule on or off: a name and `enabled`."""
        return (
            self.is_definition
            and self.enabled is not None
            and self.condition is None
            and self.output is None
            and self.description is None
            and self.priority is None
        )


Item = ListItem | MacroItem | RuleItem

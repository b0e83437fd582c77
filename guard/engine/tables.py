"""Lists, macros and rules by name, after every redefinition, append and override.

Items of all files are numbered in one row. `index` is the number of the first
definition and gives the order; `visibility` is the number of the last change and
tells what an entry may refer to: whatever was first defined before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from guard.alert import Action, Priority
from guard.engine.diagnostics import Code, Diagnostic, Severity, did_you_mean
from guard.engine.items import Item, ListItem, MacroItem, Operation, RuleItem
from guard.engine.rule_exceptions import ExceptionSet
from guard.engine.source import Location, MappedText

_MACRO_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_LIST_NAME = re.compile(r"""[^()"'=,\s]+""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEntry:
    name: str
    location: Location
    index: int
    visibility: int
    items: tuple[MappedText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MacroEntry:
    name: str
    location: Location
    index: int
    visibility: int
    condition: MappedText


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEntry:
    name: str
    location: Location
    index: int
    visibility: int
    condition: MappedText
    output: MappedText
    description: MappedText
    priority: Priority
    exceptions: ExceptionSet
    action: Action = Action.ALERT
    remedy: str = ""
    source: str = "syscall"
    enabled: bool = True
    tags: frozenset[str] = frozenset()
    warn_evttypes: bool = True
    skip_if_unknown_filter: bool = False
    capture: bool = False
    capture_duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class Tables:
    """Entries in the order of their first definition."""

    lists: dict[str, ListEntry] = field(default_factory=dict)
    macros: dict[str, MacroEntry] = field(default_factory=dict)
    rules: dict[str, RuleEntry] = field(default_factory=dict)


def build_tables(items: Iterable[Item], diagnostics: list[Diagnostic]) -> Tables:
    """Puts items together; what cannot be put together is reported and left out."""
    builder = _Builder(diagnostics)
    for item in items:
        builder.add(item)
    return builder.tables


class _Builder:
    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.tables = Tables()
        self._diagnostics = diagnostics
        self._number = 0

    def add(self, item: Item) -> None:
        if isinstance(item, ListItem):
            self._add_list(item)
        elif isinstance(item, MacroItem):
            self._add_macro(item)
        else:
            self._add_rule(item)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _add_list(self, item: ListItem) -> None:
        before = self.tables.lists.get(item.name)
        number = self._next()
        items = item.items
        if _appends(item, "items"):
            if before is None:
                self._nothing_to_change(item, "list", self.tables.lists)
                return
            items = (*before.items, *items)
        elif not _LIST_NAME.fullmatch(item.name):
            self._warn(
                Code.INVALID_LIST_NAME,
                f"list `{item.name}` cannot be used under this name",
                item.location,
                "a name holds no blanks, quotes, parentheses, commas or `=`",
            )
        self.tables.lists[item.name] = ListEntry(
            name=item.name,
            location=item.location if before is None else before.location,
            index=number if before is None else before.index,
            visibility=number,
            items=items,
        )

    def _add_macro(self, item: MacroItem) -> None:
        before = self.tables.macros.get(item.name)
        number = self._next()
        condition = item.condition
        if _appends(item, "condition"):
            if before is None:
                self._nothing_to_change(item, "macro", self.tables.macros)
                return
            condition = _joined(before.condition, condition)
        elif not _MACRO_NAME.fullmatch(item.name):
            self._warn(
                Code.INVALID_MACRO_NAME,
                f"macro `{item.name}` cannot be used under this name",
                item.location,
                "a name is a letter and then letters, digits and `_`",
            )
        self.tables.macros[item.name] = MacroEntry(
            name=item.name,
            location=item.location if before is None else before.location,
            index=number if before is None else before.index,
            visibility=number,
            condition=condition,
        )

    def _add_rule(self, item: RuleItem) -> None:
        if item.is_switch:
            self._switch(item)
        elif item.is_definition:
            self._define(item)
        elif item.name not in self.tables.rules:
            self._nothing_to_change(item, "rule", self.tables.rules)
        elif self._same_source(item):
            operations = set(item.override.values()) or {Operation.APPEND}
            if Operation.APPEND in operations:
                self._append(item)
            if Operation.REPLACE in operations:
                self._replace(item)

    def _switch(self, item: RuleItem) -> None:
        before = self.tables.rules.get(item.name)
        self._warn(
            Code.DEPRECATED_ITEM,
            "a rule with `enabled` alone is deprecated",
            item.location,
            "write `override` and below it `enabled: replace`",
        )
        if before is None:
            self._nothing_to_change(item, "rule", self.tables.rules)
            return
        assert item.enabled is not None
        self.tables.rules[item.name] = replace(before, enabled=item.enabled)

    def _define(self, item: RuleItem) -> None:
        # INVARIANT: an item without a condition was reported and left out; other
        # missing keys were reported too, so the values put in here never run.
        assert item.condition is not None
        if item.name in self.tables.rules and not self._same_source(item):
            return
        before = self.tables.rules.get(item.name)
        number = self._next()
        empty = MappedText.inserted("", item.location)
        self.tables.rules[item.name] = RuleEntry(
            name=item.name,
            location=item.location,
            index=number if before is None else before.index,
            visibility=number,
            condition=item.condition,
            output=item.output or empty,
            description=item.description or empty,
            priority=Priority.DEBUG if item.priority is None else item.priority,
            action=item.action or Action.ALERT,
            remedy=item.remedy.text if item.remedy else "",
            source=item.source or "syscall",
            enabled=item.enabled is not False,
            tags=frozenset(item.tags or ()),
            warn_evttypes=item.warn_evttypes is not False,
            skip_if_unknown_filter=item.skip_if_unknown_filter is True,
            capture=item.capture is True,
            capture_duration_ms=item.capture_duration_ms or 0,
            exceptions=ExceptionSet(item.name).defined(item.exceptions or (), self._diagnostics),
        )

    def _append(self, item: RuleItem) -> None:
        entry = self.tables.rules[item.name]
        changes: dict[str, object] = {"visibility": self._next()}
        if item.condition is not None and _appends(item, "condition"):
            changes["condition"] = _joined(entry.condition, item.condition)
        if item.exceptions is not None and _appends(item, "exceptions"):
            changes["exceptions"] = entry.exceptions.appended(item.exceptions, self._diagnostics)
        # `append: true` looks at the two keys above only.
        if item.output is not None and item.override.get("output") is Operation.APPEND:
            changes["output"] = _joined(entry.output, item.output)
        if item.description is not None and item.override.get("desc") is Operation.APPEND:
            changes["description"] = _joined(entry.description, item.description)
        if item.tags is not None and item.override.get("tags") is Operation.APPEND:
            changes["tags"] = entry.tags | frozenset(item.tags)
        self.tables.rules[item.name] = replace(entry, **changes)  # type: ignore[arg-type]

    def _replace(self, item: RuleItem) -> None:
        entry = self.tables.rules[item.name]
        values: dict[str, tuple[str, object]] = {
            "condition": ("condition", item.condition),
            "output": ("output", item.output),
            "desc": ("description", item.description),
            "tags": ("tags", None if item.tags is None else frozenset(item.tags)),
            "priority": ("priority", item.priority),
            "action": ("action", item.action),
            "remedy": ("remedy", item.remedy.text if item.remedy else None),
            "capture": ("capture", item.capture),
            "capture_duration": ("capture_duration_ms", item.capture_duration_ms),
            "enabled": ("enabled", item.enabled),
            "warn_evttypes": ("warn_evttypes", item.warn_evttypes),
            "skip-if-unknown-filter": ("skip_if_unknown_filter", item.skip_if_unknown_filter),
        }
        changes: dict[str, object] = {"visibility": self._next()}
        for key, operation in item.override.items():
            if operation is not Operation.REPLACE:
                continue
            if key == "exceptions":
                changes[key] = ExceptionSet(item.name).defined(
                    item.exceptions or (), self._diagnostics
                )
            elif values[key][1] is not None:
                changes[values[key][0]] = values[key][1]
        self.tables.rules[item.name] = replace(entry, **changes)  # type: ignore[arg-type]

    def _same_source(self, item: RuleItem) -> bool:
        before = self.tables.rules[item.name]
        if item.source is None or item.source == before.source:
            return True
        self._diagnostics.append(
            Diagnostic(
                Code.CONFLICTING_SOURCE,
                f"rule `{item.name}` has source `{before.source}` already, not `{item.source}`",
                item.location,
                help=f"defined at {before.location}; use another name",
            )
        )
        return False

    def _nothing_to_change(self, item: Item, kind: str, known: Iterable[str]) -> None:
        self._diagnostics.append(
            Diagnostic(
                Code.NOTHING_TO_OVERRIDE,
                f"there is no {kind} `{item.name}` to change",
                item.location,
                help=did_you_mean(item.name, known)
                or f"the {kind} must be defined before, in this file or an earlier one",
            )
        )

    def _warn(self, code: Code, message: str, location: Location, help: str) -> None:
        self._diagnostics.append(Diagnostic(code, message, location, Severity.WARNING, help=help))


def _appends(item: Item, key: str) -> bool:
    return item.append or item.override.get(key) is Operation.APPEND


def _joined(before: MappedText, added: MappedText) -> MappedText:
    start = added.locate(0, 1)
    return MappedText.join([before, MappedText.inserted(" ", start), added])

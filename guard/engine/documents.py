"""Rule files to items.

A file is one or more YAML documents, each a sequence of mappings. Every scalar
is the text that was written; the key decides what it means. Nothing is ignored
silently: a key nobody knows is an error, with the key it was probably meant to
be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from guard.alert import Action, Priority
from guard.engine.diagnostics import Code, Diagnostic, did_you_mean
from guard.engine.items import Item, ListItem, MacroItem, Operation, RuleItem
from guard.engine.nodes import Mapping as MappingNode
from guard.engine.nodes import Node, Scalar, Sequence, compose
from guard.engine.reader import Reader
from guard.engine.rule_exceptions import read_exceptions
from guard.engine.source import MappedText, Source
from guard.engine.versions import check_engine_version, check_plugin_versions

_LIST_KEYS = ("list", "items", "append", "override")
_MACRO_KEYS = ("macro", "condition", "append", "override")
_RULE_KEYS = (
    "rule",
    "condition",
    "output",
    "desc",
    "priority",
    "action",
    "remedy",
    "source",
    "enabled",
    "tags",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "capture",
    "capture_duration",
    "exceptions",
    "override",
    "append",
)
_REQUIRED_RULE_KEYS = ("condition", "output", "desc", "priority")
_BOTH = (Operation.APPEND, Operation.REPLACE)
_REPLACE = (Operation.REPLACE,)
_LIST_OVERRIDES = {"items": _BOTH}
_MACRO_OVERRIDES = {"condition": _BOTH}
_RULE_OVERRIDES = {
    "condition": _BOTH,
    "output": _BOTH,
    "desc": _BOTH,
    "tags": _BOTH,
    "exceptions": _BOTH,
    "priority": _REPLACE,
    "action": _REPLACE,
    "remedy": _REPLACE,
    "capture": _REPLACE,
    "capture_duration": _REPLACE,
    "enabled": _REPLACE,
    "warn_evttypes": _REPLACE,
    "skip-if-unknown-filter": _REPLACE,
}


def read_items(source: Source) -> tuple[tuple[Item, ...], tuple[Diagnostic, ...]]:
    """The items of a file in their order, and all that is wrong with its structure.

    An item with an error is left out, except for errors that leave its meaning
    clear, so that what refers to it is not reported as well.
    """
    diagnostics: list[Diagnostic] = []
    items: list[Item] = []
    for root in compose(source, diagnostics):
        if isinstance(root, Scalar) and root.is_null:
            continue
        if not isinstance(root, Sequence):
            diagnostics.append(
                Diagnostic(
                    Code.WRONG_STRUCTURE,
                    "a rule file must be a sequence of items",
                    root.location,
                    help="begin every rule, macro and list with `- `",
                )
            )
            continue
        for node in root.items:
            item = _read_item(node, diagnostics)
            if item is not None:
                items.append(item)
    return tuple(items), tuple(diagnostics)


def _read_item(node: Node, diagnostics: list[Diagnostic]) -> Item | None:
    if isinstance(node, Scalar) and node.is_null:
        return None
    if not isinstance(node, MappingNode):
        diagnostics.append(
            Diagnostic(
                Code.WRONG_STRUCTURE,
                "an item must be a mapping of keys to values",
                node.location,
                help="write `- rule: name` and the rule's other keys below `rule`",
            )
        )
        return None
    for kind, read in _READERS.items():
        if kind in node.entries:
            return read(Reader(node, kind, diagnostics))
    first = next(iter(node.keys.values()), None)
    diagnostics.append(
        Diagnostic(
            Code.UNKNOWN_ITEM,
            "item is neither a rule nor a macro nor a list",
            first.location if first else node.location,
            help=(did_you_mean(first.value, _READERS) if first else "")
            or f"one of the keys {', '.join(f'`{kind}`' for kind in _READERS)} is needed",
        )
    )
    return None


def _read_engine_version(reader: Reader) -> None:
    reader.check_keys(("required_engine_version",))
    check_engine_version(reader)


def _read_plugin_versions(reader: Reader) -> None:
    reader.check_keys(("required_plugin_versions",))
    check_plugin_versions(reader)


def _read_list(reader: Reader) -> ListItem | None:
    reader.check_keys(_LIST_KEYS)
    name = reader.name()
    items = reader.texts("items", required=True)
    changes = _read_changes(reader, _LIST_OVERRIDES)
    if name is None or items is None or changes is None:
        return None
    append, override = changes
    return ListItem(
        name=name.value, location=name.location, items=items, append=append, override=override
    )


def _read_macro(reader: Reader) -> MacroItem | None:
    reader.check_keys(_MACRO_KEYS)
    name = reader.name()
    condition = reader.text("condition", required=True)
    changes = _read_changes(reader, _MACRO_OVERRIDES)
    if name is None or condition is None or changes is None:
        return None
    append, override = changes
    return MacroItem(
        name=name.value,
        location=name.location,
        condition=condition,
        append=append,
        override=override,
    )


def _read_rule(reader: Reader) -> RuleItem | None:
    before = reader.errors
    reader.check_keys(_RULE_KEYS)
    name = reader.name()
    changes = _read_changes(reader, _RULE_OVERRIDES)
    append, override = changes or (False, {})
    is_definition = changes is not None and not append and not override
    is_switch = (
        is_definition
        and reader.has("enabled")
        and not any(reader.has(key) for key in _REQUIRED_RULE_KEYS)
    )
    if append:
        _check_appended_rule(reader)
    if is_definition and not is_switch:
        for key in _REQUIRED_RULE_KEYS:
            reader.require(key)
    source = reader.text("source")
    tags = reader.texts("tags")
    item = RuleItem(
        name=name.value if name else "",
        location=name.location if name else reader.location,
        append=append,
        override=override,
        condition=reader.text("condition"),
        output=_stripped(reader.text("output")),
        description=reader.text("desc"),
        priority=reader.word("priority", Priority.parse, [p.label for p in Priority]),
        action=reader.word("action", Action, [action.value for action in Action]),
        remedy=_stripped(reader.text("remedy")),
        source=source.text if source else None,
        enabled=reader.boolean("enabled"),
        tags=None if tags is None else tuple(tag.text for tag in tags),
        warn_evttypes=reader.boolean("warn_evttypes"),
        skip_if_unknown_filter=reader.boolean("skip-if-unknown-filter"),
        capture=reader.boolean("capture"),
        capture_duration_ms=reader.unsigned("capture_duration"),
        exceptions=read_exceptions(reader),
    )
    if name is None or (is_definition and not is_switch and item.condition is None):
        return None
    if reader.errors > before and not is_definition:
        return None
    return item


_READERS: dict[str, Callable[[Reader], Item | None]] = {
    "required_engine_version": _read_engine_version,
    "required_plugin_versions": _read_plugin_versions,
    "list": _read_list,
    "macro": _read_macro,
    "rule": _read_rule,
}


def _read_changes(
    reader: Reader, allowed: Mapping[str, tuple[Operation, ...]]
) -> tuple[bool, dict[str, Operation]] | None:
    """`append` and `override`, checked against the keys of the item; None when wrong."""
    before = reader.errors
    append = reader.boolean("append") or False
    if append:
        reader.warn(
            Code.DEPRECATED_ITEM,
            "`append` is deprecated",
            reader.key_location("append"),
            "write `override` and below it `condition: append`",
        )
    override = reader.mapping("override")
    if override is None:
        return None if reader.errors > before else (append, {})
    if append:
        reader.error(
            Code.WRONG_OVERRIDE,
            "`append: true` and `override` exclude each other",
            reader.key_location("override"),
            "remove `append`",
        )
        return None
    operations: dict[str, Operation] = {}
    for key, node in override.entries.items():
        operation = _operation(reader, key, override.keys[key], node, allowed)
        if operation is not None:
            operations[key] = operation
            if not reader.has(key):
                reader.error(
                    Code.WRONG_OVERRIDE,
                    f"`{key}` is overridden but not given",
                    override.keys[key].location,
                    f"add `{key}` to the item",
                )
    for key in allowed:
        if reader.has(key) and key not in override.entries:
            reader.error(
                Code.WRONG_OVERRIDE,
                f"unexpected key `{key}`: there is no entry for it under `override`",
                reader.key_location(key),
                f"add `{key}: replace` below `override`, or remove the key",
            )
    return None if reader.errors > before else (append, operations)


def _operation(
    reader: Reader,
    key: str,
    key_node: Scalar,
    node: Node,
    allowed: Mapping[str, tuple[Operation, ...]],
) -> Operation | None:
    if key not in allowed:
        reader.error(
            Code.WRONG_OVERRIDE,
            f"key `{key}` cannot be overridden",
            key_node.location,
            did_you_mean(key, allowed) or f"these can: {', '.join(allowed)}",
        )
        return None
    words = [operation.value for operation in allowed[key]]
    if isinstance(node, Scalar) and node.value.strip() in words:
        return Operation(node.value.strip())
    reader.error(
        Code.WRONG_OVERRIDE,
        f"`{key}` can be overridden with {' or '.join(f'`{word}`' for word in words)} only",
        node.location,
        (did_you_mean(node.value, words) if isinstance(node, Scalar) else ""),
    )
    return None


def _check_appended_rule(reader: Reader) -> None:
    if not reader.has("condition") and not reader.has("exceptions"):
        reader.error(
            Code.MISSING_KEY,
            "appended rule must have exceptions or a condition",
            reader.location,
            "add `condition` or `exceptions`",
        )
    for key in _RULE_KEYS:
        if reader.has(key) and key not in ("rule", "append", "condition", "exceptions", "source"):
            reader.warn(
                Code.DEPRECATED_ITEM,
                f"`{key}` is ignored: `append: true` looks at `condition` and `exceptions` only",
                reader.key_location(key),
                "use `override` instead of `append`",
            )


def _stripped(text: MappedText | None) -> MappedText | None:
    return None if text is None else text.strip()

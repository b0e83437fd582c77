"""Exceptions of a rule: read from its item, merged, and turned into condition text."""

from __future__ import annotations

from collections.abc import Sequence

from guard.data import dataclass, replace
from guard.engine.diagnostics import Code, Diagnostic, Severity, did_you_mean
from guard.engine.items import ExceptionItem, ExceptionValue
from guard.engine.nodes import Mapping, Node, Scalar
from guard.engine.nodes import Sequence as NodeSequence
from guard.engine.reader import Reader
from guard.engine.source import Location, MappedText
from guard.engine.vocabulary import LIST_OPERATORS, MODIFIERS, OPERATORS, STRING_OPERATORS

_KEYS = ("name", "fields", "comps", "values")
_WITH_MODIFIER = tuple(
    f"{operator} {modifier}" for operator in STRING_OPERATORS for modifier in MODIFIERS
)
_SINGLE_COMPS = (*LIST_OPERATORS, *_WITH_MODIFIER)
_LIST_COMPS = (*OPERATORS, *_WITH_MODIFIER)


def read_exceptions(reader: Reader) -> tuple[ExceptionItem, ...] | None:
    """The exceptions of a rule item as written; None when the key is absent."""
    if not reader.has("exceptions"):
        return None
    sequence = reader.sequence("exceptions")
    found: dict[str, ExceptionItem] = {}
    for node in sequence.items if sequence else ():
        if not isinstance(node, Mapping):
            reader.error(
                Code.WRONG_STRUCTURE,
                "an exception must be a mapping",
                node.location,
                "write `- name: …` and below it `fields`, `comps` and `values`",
            )
            continue
        item = _read_exception(node, reader)
        if item is None:
            continue
        if item.name in found:
            reader.warn(
                Code.EXCEPTION_NAME_NOT_UNIQUE,
                f"exception `{item.name}` is given twice in one rule",
                item.location,
                "give each exception a name of its own",
            )
            item = _merged(found[item.name], item)
        found[item.name] = item
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class ExceptionSet:
    """The exceptions of a rule while its items are put together."""

    rule: str
    exceptions: tuple[ExceptionItem, ...] = ()

    def defined(
        self, items: Sequence[ExceptionItem], diagnostics: list[Diagnostic]
    ) -> ExceptionSet:
        """With `items` as the whole set; used for definition and for replacing."""
        checked = (self._checked(item, diagnostics) for item in items)
        return ExceptionSet(self.rule, tuple(item for item in checked if item is not None))

    def appended(
        self, items: Sequence[ExceptionItem], diagnostics: list[Diagnostic]
    ) -> ExceptionSet:
        """With the values of `items` added; a new name needs fields as well."""
        known = {item.name: item for item in self.exceptions}
        for item in items:
            before = known.get(item.name)
            if item.values is None:
                diagnostics.append(
                    Diagnostic(
                        Code.APPEND_NO_VALUES,
                        f"exception `{item.name}` adds no values",
                        item.location,
                        Severity.WARNING,
                        help="add `values`",
                        item=f"rule `{self.rule}`",
                    )
                )
            if before is None:
                checked = self._checked(item, diagnostics)
                if checked is not None:
                    known[item.name] = checked
            elif item.fields is not None or item.comps is not None:
                self._error(
                    diagnostics,
                    f"exception `{item.name}` is defined already: only values can be added",
                    item.location,
                    "remove `fields` and `comps`",
                )
            else:
                known[item.name] = _merged(before, item)
        return ExceptionSet(self.rule, tuple(known.values()))

    def condition(self, condition: MappedText, diagnostics: list[Diagnostic]) -> MappedText:
        """The condition with all exceptions that have values behind it."""
        texts = []
        for item in self.exceptions:
            if item.values:
                text = self._text(item, diagnostics)
                if text is not None:
                    texts += [MappedText.inserted(" and not ", item.location), text]
        if not texts:
            return condition
        whole = condition.locate()
        start = Location(whole.source, whole.start, whole.start + 1)
        end = Location(whole.source, max(whole.end - 1, whole.start), whole.end)
        return MappedText.join(
            [MappedText.inserted("(", start), condition, MappedText.inserted(")", end), *texts]
        )

    def _error(
        self, diagnostics: list[Diagnostic], message: str, location: Location, help: str = ""
    ) -> None:
        diagnostics.append(
            Diagnostic(
                Code.WRONG_EXCEPTION, message, location, help=help, item=f"rule `{self.rule}`"
            )
        )

    def _checked(self, item: ExceptionItem, diagnostics: list[Diagnostic]) -> ExceptionItem | None:
        """The exception with its defaults; None when its shape is wrong."""
        if not item.fields:
            self._error(
                diagnostics,
                f"exception `{item.name}` has no fields",
                item.location,
                "add `fields: [proc.name, …]`, or the name of one field",
            )
            return None
        if item.comps is None:
            default = "=" if item.fields_are_list else "in"
            comps = tuple(MappedText.inserted(default, field.locate()) for field in item.fields)
            return replace(item, comps=comps, comps_are_list=item.fields_are_list)
        if item.comps_are_list != item.fields_are_list:
            self._error(
                diagnostics,
                f"`fields` and `comps` of exception `{item.name}` must both be lists, "
                "or both be single words",
                item.location,
            )
            return None
        if len(item.comps) != len(item.fields):
            self._error(
                diagnostics,
                f"exception `{item.name}` has {len(item.fields)} fields "
                f"and {len(item.comps)} operators",
                item.location,
                "give `comps` one operator for every field",
            )
            return None
        words = _LIST_COMPS if item.fields_are_list else _SINGLE_COMPS
        for comp in item.comps:
            if " ".join(comp.text.split()) not in words:
                self._error(
                    diagnostics,
                    f"operator `{comp.text}` is not supported in exception `{item.name}`",
                    comp.locate(),
                    did_you_mean(comp.text, words) or f"one of {', '.join(words)}",
                )
                return None
        return item

    def _text(self, item: ExceptionItem, diagnostics: list[Diagnostic]) -> MappedText | None:
        assert item.fields and item.comps and item.values

        def glue(text: str) -> MappedText:
            return MappedText.inserted(text, item.location)

        if not item.fields_are_list:
            parts = [glue("("), item.fields[0], glue(" "), item.comps[0].strip(), glue(" (")]
            for index, value in enumerate(item.values):
                if value.text is None:
                    self._error(
                        diagnostics,
                        f"a value of exception `{item.name}` is a list, "
                        "but `fields` is a single field",
                        value.location,
                        "write the values as one flat list",
                    )
                    return None
                parts += [glue(", ")] if index else []
                parts += _quoted(value.text)
            return MappedText.join([*parts, glue("))")])
        parts = [glue("(")]
        for index, value in enumerate(item.values):
            if value.members is None or len(value.members) != len(item.fields):
                self._error(
                    diagnostics,
                    f"every entry of `values` of exception `{item.name}` must be "
                    f"a list of {len(item.fields)}",
                    value.location,
                    f"one value for each of {', '.join(f'`{f.text}`' for f in item.fields)}",
                )
                return None
            parts.append(glue(" or (" if index else "("))
            for column, member in enumerate(value.members):
                parts += [glue(" and ")] if column else []
                comp = item.comps[column].strip()
                parts += [item.fields[column], glue(" "), comp, glue(" ")]
                parts += _member(member, comp.text)
            parts.append(glue(")"))
        return MappedText.join([*parts, glue(")")])


def _read_exception(node: Mapping, reader: Reader) -> ExceptionItem | None:
    for key, scalar in node.keys.items():
        if key not in _KEYS:
            reader.error(
                Code.UNKNOWN_KEY,
                f"unknown key `{key}` in an exception",
                scalar.location,
                did_you_mean(key, _KEYS) or f"keys here are {', '.join(_KEYS)}",
            )
    name = node.entries.get("name")
    if not isinstance(name, Scalar) or name.is_null or not name.value:
        reader.error(Code.MISSING_KEY, "an exception has no name", node.location, "add `name: …`")
        return None
    fields, fields_are_list = _words(node, "fields", reader)
    comps, comps_are_list = _words(node, "comps", reader)
    values = node.entries.get("values")
    read: tuple[ExceptionValue, ...] | None = None
    if isinstance(values, NodeSequence):
        read = tuple(_value(entry, reader, depth=0) for entry in values.items)
    elif values is not None and not (isinstance(values, Scalar) and values.is_null):
        reader.error(Code.WRONG_STRUCTURE, "value of `values` is not a sequence", values.location)
    return ExceptionItem(
        name=name.value,
        location=name.location,
        fields=fields,
        comps=comps,
        fields_are_list=fields_are_list,
        comps_are_list=comps_are_list,
        values=read,
    )


def _words(node: Mapping, key: str, reader: Reader) -> tuple[tuple[MappedText, ...] | None, bool]:
    """The words below `fields` or `comps`, and whether they were written as a list."""
    value = node.entries.get(key)
    if value is None or (isinstance(value, Scalar) and value.is_null):
        return None, False
    if isinstance(value, Scalar):
        return (value.text,), False
    words = []
    for entry in value.items if isinstance(value, NodeSequence) else (value,):
        if isinstance(entry, Scalar) and entry.value:
            words.append(entry.text)
        else:
            reader.error(Code.WRONG_STRUCTURE, f"an entry of `{key}` is not a text", entry.location)
    return tuple(words), True


def _value(node: Node, reader: Reader, *, depth: int) -> ExceptionValue:
    if isinstance(node, Scalar):
        return ExceptionValue(node.location, text=node.text)
    if isinstance(node, NodeSequence) and depth < 2:
        members = tuple(_value(entry, reader, depth=depth + 1) for entry in node.items)
        return ExceptionValue(node.location, members=members)
    reader.error(
        Code.WRONG_STRUCTURE,
        "an exception's value is a text, a list of texts, or a list of such lists",
        node.location,
    )
    return ExceptionValue(node.location, members=())


def _merged(before: ExceptionItem, item: ExceptionItem) -> ExceptionItem:
    return replace(before, values=(*(before.values or ()), *(item.values or ())))


def _member(member: ExceptionValue, comp: str) -> list[MappedText]:
    """One value of a tuple: a list in parentheses, anything else as it is."""
    open_, close = (MappedText.inserted(text, member.location) for text in "()")
    if member.members is not None:
        parts = [open_]
        for index, entry in enumerate(member.members):
            parts += [MappedText.inserted(", ", member.location)] if index else []
            parts += _quoted(entry.text) if entry.text is not None else ()
        return [*parts, close]
    assert member.text is not None
    takes_list = comp in LIST_OPERATORS or comp.endswith(MODIFIERS)
    if takes_list and not member.text.text.startswith("("):
        return [open_, *_quoted(member.text), close]
    return _quoted(member.text)


def _quoted(text: MappedText) -> list[MappedText]:
    # Falco quotes a value for a blank and for nothing else.
    if " " not in text.text or text.text[0] in "'\"" or text.text[0] == "(":
        return [text]
    quote = MappedText.inserted('"', text.locate())
    return [quote, text, quote]

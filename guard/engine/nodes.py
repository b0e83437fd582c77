"""YAML text to nodes that know their place.

The only importer of `yaml`. Scalars stay text: `off`, `0x10` and `=` are what
was written. Nodes are built from parser events with an explicit stack, because
libyaml's own composer overflows the C stack on deep nesting.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import yaml

from guard.engine.diagnostics import Code, Diagnostic
from guard.engine.scalars import map_scalar
from guard.engine.source import Location, MappedText, Source

MAX_DEPTH = 64  # rule files need seven

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_HELP = {
    "mapping values are not allowed": 'put a text that holds ": " in quotes, or use `>` or `|`',
    "could not find expected ':'": "check the indentation, and that every key ends with `:`",
    "did not find expected '-' indicator": "items of a sequence begin in the same column",
    "did not find expected key": "keys of an item begin in the same column",
    "did not find expected node content": "a bracket may be unclosed, or a value missing",
    "found unexpected end of stream": "a quote is never closed",
    "found unknown escape character": "in double quotes write `\\\\` for a backslash",
    "did not find expected ',' or ']'": "a bracket may be unclosed, or a comma missing",
    "found a tab character": "indent with blanks, not with tabs",
    "found undefined alias": 'put a text that begins with `*` in quotes: "*.log"',
}


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text. `is_null`: nothing, `~` or `null`, not in quotes."""

    location: Location
    value: str
    is_null: bool

    @property
    def text(self) -> MappedText:
        """The value with the place of every character."""
        return map_scalar(self.location.source, self.location.start, self.location.end, self.value)


@dataclass(frozen=True, slots=True)
class Sequence:
    location: Location
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys as written to their values; `keys` has the place of each key."""

    location: Location
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Scalar] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


def compose(source: Source, diagnostics: list[Diagnostic]) -> list[Node]:
    """The root of every document of a file; adds to `diagnostics` what is not YAML."""
    return _Composer(source, diagnostics).documents()


class _StopError(Exception):
    """The rest of the file cannot be read; the reason is already reported."""


class _Composer:
    def __init__(self, source: Source, diagnostics: list[Diagnostic]) -> None:
        self._source = source
        self._diagnostics = diagnostics
        self._roots: list[Node] = []
        # Open containers: a mapping with the key that waits for its value, and
        # the anchor. It is set at the end, so that no node can hold itself.
        self._open: list[tuple[Sequence | Mapping, Scalar | None, str | None]] = []
        self._anchors: dict[str, Node] = {}
        # libyaml does not count a byte order mark.
        self._shift = 1 if source.text.startswith("\ufeff") else 0

    def documents(self) -> list[Node]:
        try:
            for event in yaml.parse(self._source.text, Loader=_Loader):
                self._take(event)
        except _StopError:
            self._drop_unfinished()
        except yaml.YAMLError as error:
            self._report(*self._explain(error))
            self._drop_unfinished()
        except UnicodeEncodeError as error:
            self._report("the file is not UTF-8 text", error.start, "save it as UTF-8")
        return self._roots

    def _drop_unfinished(self) -> None:
        """Forgets the item that was being read: what it lacks is no mistake of its own."""
        root = self._open[0][0] if self._open else None
        if isinstance(root, Mapping):
            self._roots.pop()
        elif root is not None and len(self._open) > 1:
            root.items.pop()

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            is_null = not event.style and event.value in _NULLS
            self._add(Scalar(self._location(event), event.value, is_null), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            target = self._anchors.get(event.anchor or "")
            if target is None:
                start = self._location(event).start
                self._report(
                    f"unknown alias `*{event.anchor}`", start, _HELP["found undefined alias"]
                )
                raise _StopError
            self._add(target, None)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._enter(Sequence(self._location(event)), event.anchor)
        elif isinstance(event, yaml.MappingStartEvent):
            self._enter(Mapping(self._location(event)), event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            node, _, anchor = self._open.pop()
            if anchor:
                self._anchors[anchor] = node
        elif isinstance(event, yaml.DocumentStartEvent):
            self._anchors.clear()

    def _enter(self, node: Sequence | Mapping, anchor: str | None) -> None:
        if len(self._open) == MAX_DEPTH:
            self._report(
                f"YAML is nested more than {MAX_DEPTH} deep", node.location.start, "rules are not"
            )
            raise _StopError
        self._add(node, None)
        self._open.append((node, None, anchor))

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self._roots.append(node)
            return
        parent, key, outer = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif key is None:
            self._open[-1] = (parent, self._key(node), outer)
        else:
            self._open[-1] = (parent, None, outer)
            if key.value in parent.entries:
                self._diagnostics.append(
                    Diagnostic(
                        Code.WRONG_STRUCTURE,
                        f"key `{key.value}` is given twice",
                        key.location,
                        help="keep one of them",
                    )
                )
            parent.entries[key.value] = node
            parent.keys[key.value] = key

    def _key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar):
            return node
        self._report("a key must be a text", node.location.start, "write `key: value`")
        raise _StopError

    def _location(self, event: yaml.Event) -> Location:
        assert event.start_mark and event.end_mark  # the loader always sets them
        start = event.start_mark.index + self._shift
        end = event.end_mark.index + self._shift
        return Location(self._source, start, end)

    def _report(self, message: str, offset: int, help: str) -> None:
        location = Location(self._source, offset, offset + 1)
        self._diagnostics.append(Diagnostic(Code.YAML_SYNTAX, message, location, help=help))

    def _explain(self, error: yaml.YAMLError) -> tuple[str, int, str]:
        if isinstance(error, yaml.reader.ReaderError):
            # The position it names counts bytes; look for the character.
            char = chr(int(error.character)) if error.character else ""
            offset = max(self._source.text.find(char), 0)
            return f"character U+{ord(char or chr(0)):04X} is not allowed in YAML", offset, ""
        assert isinstance(error, yaml.MarkedYAMLError)
        problem = str(error.problem)
        mark = error.problem_mark or error.context_mark
        offset = mark.index + self._shift if mark else 0
        char = self._source.text[offset : offset + 1]
        if "cannot start any token" in problem:
            name = "a tab" if char == "\t" else f"`{char}`"
            help = "indent with blanks" if char == "\t" else "put the text in quotes"
            return f"not valid YAML: {name} cannot begin a value", offset, help
        help = next((text for start, text in _HELP.items() if problem.startswith(start)), "")
        return f"not valid YAML: {problem}", offset, help

"""From the items of all rule files to rules that stand alone.

Append and override are applied, exceptions become condition text, lists are
expanded in the text, conditions are parsed and macros put in their place. What
is left of a rule is one expression, its texts, and the way back to the files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from guard.alert import Action, Priority
from guard.engine import syntax
from guard.engine.source import Location, MappedText


@dataclass(frozen=True, slots=True)
class SourceMap:
    """The condition texts of one load, laid end to end in one space of offsets.

    A `syntax.Span` counts in this space, so a node that came from a macro or a
    list still knows its place whatever rule it ended up in.
    """

    starts: tuple[int, ...]
    texts: tuple[MappedText, ...]

    def locate(self, span: syntax.Span) -> Location:
        """File, line and column of what the span covers."""
        index = max(bisect_right(self.starts, span.start) - 1, 0)
        base = self.starts[index]
        return self.texts[index].locate(span.start - base, span.end - base)

    def text(self, span: syntax.Span) -> str:
        """The expanded condition text of the span."""
        index = max(bisect_right(self.starts, span.start) - 1, 0)
        base = self.starts[index]
        return self.texts[index].text[span.start - base : span.end - base]


@dataclass(frozen=True, slots=True)
class ResolvedRule:
    """A rule as the check stage takes it: `expr` holds no macro reference.

    Equal macro bodies are the same objects in every rule, so results may be
    cached by identity. The tree is at most `MAX_DEPTH` deep.
    """

    name: str
    expr: syntax.Expr
    condition_source: SourceMap  # shared by all rules of a load
    output: MappedText
    priority: Priority
    action: Action
    tags: tuple[str, ...]  # sorted
    description: str
    remedy: str
    source: str  # event source, normally "syscall"
    location: Location  # of the rule's name
    enabled: bool
    warn_evttypes: bool
    skip_if_unknown_filter: bool
    capture: bool = False
    capture_duration_ms: int = 0

    @property
    def file(self) -> str:
        """Name of the file that defined the rule."""
        return self.location.name

    @property
    def line(self) -> int:
        """Line of the rule's name, from 1."""
        return self.location.line

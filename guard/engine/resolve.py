"""From the items of all rule files to rules that stand alone.

Append and override are applied, exceptions become condition text, lists are
expanded in the text, conditions are parsed and macros put in their place. What
is left of a rule is one expression, its texts, and the way back to the files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from guard.alert import Action, Priority
from guard.data import dataclass
from guard.engine import syntax
from guard.engine.diagnostics import Code, Diagnostic, Severity
from guard.engine.expand import Lists, TooLongError, one_level
from guard.engine.items import Item
from guard.engine.macros import Macros
from guard.engine.parser import parse_condition
from guard.engine.source import Location, MappedText
from guard.engine.syntax_issue import SyntaxIssue
from guard.engine.tables import ListEntry, MacroEntry, RuleEntry, Tables, build_tables
from guard.engine.walk import leaves


@dataclass(frozen=True, slots=True)
class SourceMap:
    """The condition texts of one load, laid end to end in one space of offsets.

    A `syntax.Span` counts in this space, so a node that came from a macro or a
    list still knows its place whatever rule it ended up in.
    """

    starts: list[int]
    texts: list[MappedText]

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

    def add(self, text: MappedText) -> int:
        """Appends a condition text; the result is the offset where it begins."""
        # One character apart, so that the end of a text is not the next one's start.
        base = self.starts[-1] + len(self.texts[-1].text) + 1 if self.starts else 0
        self.starts.append(base)
        self.texts.append(text)
        return base


@dataclass(frozen=True, slots=True)
class ResolvedRule:
    """A rule as the check stage takes it: `expr` holds no macro reference.

    Equal macro bodies are the same objects in every rule, so results may be
    cached by identity. The tree is at most `macros.MAX_DEPTH` deep.
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


def resolve(items: Iterable[Item]) -> tuple[tuple[ResolvedRule, ...], tuple[Diagnostic, ...]]:
    """The rules that `items`, in the order of their files, amount to.

    Rules come in the order of their first definition, disabled ones included. A
    rule with an error is left out; the diagnostics hold every reason.
    """
    diagnostics: list[Diagnostic] = []
    rules = _Resolver(build_tables(items, diagnostics), diagnostics).rules()
    # A mistake in a list would be reported for every condition that uses it.
    unique = {(found.code, found.message, found.location): found for found in diagnostics[::-1]}
    return rules, tuple(unique.values())[::-1]


class _Resolver:
    def __init__(self, tables: Tables, diagnostics: list[Diagnostic]) -> None:
        self._tables = tables
        self._diagnostics = diagnostics
        self._source_map = SourceMap([], [])
        self._lists = _expandable(tables.lists)

    def rules(self) -> tuple[ResolvedRule, ...]:
        bodies = {
            name: self._parse(macro.condition, f"macro `{name}`")
            for name, macro in self._tables.macros.items()
        }
        macros = Macros(self._tables.macros, bodies, self._source_map, self._diagnostics)
        rules = []
        for entry in self._tables.rules.values():
            expr = self._parse(
                entry.exceptions.condition(entry.condition, self._diagnostics),
                f"rule `{entry.name}`",
            )
            if expr is not None:
                expr = macros.inline(expr, f"rule `{entry.name}`", entry.condition)
            if expr is not None:
                rules.append(self._resolved(entry, expr))
        self._report_unused(self._tables.macros, macros.used, Code.UNUSED_MACRO, "macro")
        self._report_unused(self._tables.lists, self._lists.used, Code.UNUSED_LIST, "list")
        return tuple(rules)

    def _parse(self, condition: MappedText, item: str) -> syntax.Expr | None:
        try:
            text = self._lists.expand(condition)
        except TooLongError:
            self._diagnostics.append(
                Diagnostic(
                    Code.CONDITION_TOO_LARGE,
                    "condition is too long after its lists are expanded",
                    condition.locate(),
                    help="lists of lists multiply: use fewer of them here",
                    item=item,
                )
            )
            return None
        parsed = parse_condition(text.text, base=self._source_map.add(text))
        if not isinstance(parsed, SyntaxIssue):
            self._warn_of_misspelt_lists(parsed, item)
            return parsed
        self._diagnostics.append(
            Diagnostic(
                Code.CONDITION_SYNTAX,
                parsed.message,
                self._source_map.locate(parsed.span),
                help=parsed.help,
                item=item,
            )
        )
        return None

    def _warn_of_misspelt_lists(self, expr: syntax.Expr, item: str) -> None:
        """A list name with a typing mistake is a plain value, and never matches."""
        for check in leaves(expr):
            values = check.right if isinstance(check, syntax.Check) else None
            for text in values.items if isinstance(values, syntax.TextList) else ():
                meant = None if text.quoted else self._lists.meant_by(text.value)
                if meant is not None:
                    self._diagnostics.append(
                        Diagnostic(
                            Code.UNDEFINED_LIST,
                            f"`{text.value}` is not a list, it is compared as text",
                            self._source_map.locate(text.span),
                            Severity.WARNING,
                            help=f"did you mean `{meant}`? put a text in quotes",
                            item=item,
                        )
                    )

    def _resolved(self, entry: RuleEntry, expr: syntax.Expr) -> ResolvedRule:
        return ResolvedRule(
            name=entry.name,
            expr=expr,
            condition_source=self._source_map,
            output=entry.output,
            priority=entry.priority,
            action=entry.action,
            tags=tuple(sorted(entry.tags)),
            description=entry.description.text,
            remedy=entry.remedy,
            source=entry.source,
            location=entry.location,
            enabled=entry.enabled,
            warn_evttypes=entry.warn_evttypes,
            skip_if_unknown_filter=entry.skip_if_unknown_filter,
            capture=entry.capture,
            capture_duration_ms=entry.capture_duration_ms,
        )

    def _report_unused(
        self,
        entries: dict[str, MacroEntry] | dict[str, ListEntry],
        used: set[str],
        code: Code,
        kind: str,
    ) -> None:
        for name, entry in entries.items():
            if name not in used:
                self._diagnostics.append(
                    Diagnostic(
                        code,
                        f"{kind} `{name}` is not used",
                        entry.location,
                        Severity.WARNING,
                        help="remove it, or use it in a rule",
                    )
                )


def _expandable(entries: dict[str, ListEntry]) -> Lists:
    """The lists, with items that name an earlier list replaced by its items."""
    lists = {}
    inner = {}
    for name, entry in entries.items():
        earlier = {
            item.text: entries[item.text].items
            for item in entry.items
            if item.text in entries and entries[item.text].index < entry.visibility
        }
        lists[name] = tuple(one_level(entry.items, earlier))
        inner[name] = set(earlier) - {name}
    return Lists(lists, {name: entry.location for name, entry in entries.items()}, inner)

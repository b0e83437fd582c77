"""From syntax to typed form: does every name, operator and value mean something.

Nothing is raised for a bad condition: `Problem`s are collected and the walk
goes on. Subtrees that several rules share are checked once.
"""

from __future__ import annotations

import enum

from guard.data import dataclass
from guard.engine import ir, syntax, transformers
from guard.engine.diagnostics import Code, Severity, did_you_mean
from guard.engine.event_names import KNOWN
from guard.engine.fields import FALCO_ONLY, Argument, FieldType, Flag, lookup
from guard.engine.fields.registry import all_names
from guard.engine.patterns import RegexError, regex
from guard.engine.syntax_text import check_text
from guard.engine.values import BadValueError, convert

MAX_DEPTH = 150  # levels of nested `and`, `or` and `not`; real rules have about 10

_EQUALITY = ("=", "==", "!=")
_ORDER = ("<", "<=", ">", ">=")
_SETS = ("in", "intersects")
_NUMBER = ("exists", *_EQUALITY, *_ORDER, *_SETS)
OPERATORS: dict[FieldType, tuple[str, ...]] = {
    **{kind: _NUMBER for kind in FieldType if kind.is_number},
    FieldType.TEXT: (
        "exists", *_EQUALITY, *_ORDER, "contains", "icontains", "startswith", "endswith",
        "glob", "iglob", "regex", *_SETS, "pmatch",
    ),
    FieldType.BYTES: (
        "exists", *_EQUALITY, "contains", "startswith", "endswith", "bcontains", "bstartswith",
        *_SETS,
    ),
    FieldType.BOOL: ("exists", *_EQUALITY, *_SETS),
    FieldType.ADDRESS: ("exists", *_EQUALITY, *_SETS),
    FieldType.NETWORK: ("exists", *_EQUALITY, *_SETS),
    FieldType.LIST: ("exists", *_SETS),
}  # fmt: skip
_NO_REFERENCE = frozenset({"pmatch", "regex"})
_REGEX_SIGNS = frozenset("\\.[]{}()*+?|^$")


@dataclass(frozen=True, slots=True)
class Problem:
    """A diagnostic that does not know its file yet."""

    code: Code
    span: syntax.Span
    message: str
    help: str = ""
    label: str = ""
    severity: Severity = Severity.ERROR

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR


@dataclass(frozen=True, slots=True)
class Checked:
    """The typed form; with an error among the problems it is not to be used."""

    expr: ir.Expr
    problems: tuple[Problem, ...]

    @property
    def has_errors(self) -> bool:
        return any(problem.is_error for problem in self.problems)


class _Side(enum.Enum):
    LEFT = "left"
    RIGHT = "right"
    INSIDE = "inside"  # of a transformer


_Typed = tuple[ir.Operand, FieldType]
_Input = ir.FieldRef | ir.Call | ir.Scalar
_FALSE = ir.Constant(value=False)


class Checker:
    """Checks the conditions of one load; advice about a field is given once."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[syntax.Expr, Checked]] = {}
        self._advised: set[str] = set()
        self._problems: list[Problem] = []

    def check(self, expr: syntax.Expr) -> Checked:
        """The typed form of a resolved condition, and what is wrong with it."""
        if _is_too_deep(expr):
            problem = Problem(
                Code.CONDITION_TOO_LARGE, expr.span,
                f"the condition is nested more than {MAX_DEPTH} levels deep",
                "use lists and `in` instead of chains",
            )  # fmt: skip
            return Checked(_FALSE, (problem,))
        return self._expr(expr)

    def operand(self, operand: syntax.Operand) -> tuple[_Typed | None, tuple[Problem, ...]]:
        """A field or transformer that stands alone, as in outputs."""
        before, self._problems = self._problems, []
        try:
            return self._operand(operand, _Side.LEFT), tuple(self._problems)
        finally:
            self._problems = before

    def _expr(self, expr: syntax.Expr) -> Checked:
        found = self._done.get(id(expr))
        if found is not None:
            return found[1]
        checked = self._new(expr)
        # The tree is kept with its result: an id may be used again otherwise.
        self._done[id(expr)] = (expr, checked)
        return checked

    def _new(self, expr: syntax.Expr) -> Checked:
        match expr:
            case syntax.Not(child=child):
                checked = self._expr(child)
                return Checked(ir.Not(checked.expr), checked.problems)
            case syntax.And(children=children) | syntax.Or(children=children):
                parts = [self._expr(child) for child in children]
                node = ir.And if isinstance(expr, syntax.And) else ir.Or
                problems = tuple(problem for part in parts for problem in part.problems)
                return Checked(node(tuple(part.expr for part in parts)), problems)
            case syntax.Check():
                before, self._problems = self._problems, []
                test = self._check(expr)
                found, self._problems = self._problems, before
                return Checked(test or _FALSE, tuple(found))
            case syntax.MacroRef():
                raise AssertionError(expr)  # INVARIANT: resolve leaves no reference

    def _check(self, check: syntax.Check) -> ir.Test | None:
        operator = "=" if check.operator == "==" else check.operator
        typed = self._operand(check.left, _Side.LEFT)
        if typed is None:
            return None
        left, kind = typed
        if not self._fits(check, kind):
            return None
        text = check_text(check)
        match check.right:
            case None:
                return ir.Test(left, operator, text=text)
            case syntax.Transformer():
                operand = self._reference(check, check.right, kind)
                if operand is None:
                    return None
                return ir.Test(left, operator, operand=operand, text=text)
            case syntax.Text() as single:
                items: tuple[syntax.Text, ...] = (single,)
            case syntax.TextList(items=several):
                items = several
        values = [self._value(item, check, left, kind) for item in items]
        if None in values:
            return None
        scalars = tuple(value for value in values if value is not None)
        return ir.Test(left, operator, scalars, check.modifier, text=text)

    def _fits(self, check: syntax.Check, kind: FieldType) -> bool:
        allowed = OPERATORS[kind]
        if check.operator not in allowed:
            words = ", ".join(f"`{word}`" for word in allowed if word != "==")
            self._add(
                Code.UNFIT_OPERATOR, check.operator_span,
                f"the operator `{check.operator}` does not fit a value of type {kind.value}",
                help=f"use one of {words}",
            )  # fmt: skip
            return False
        if check.modifier and kind not in {FieldType.TEXT, FieldType.BYTES}:
            if check.operator in _EQUALITY:
                return True
            self._add(
                Code.UNFIT_OPERATOR, check.operator_span,
                f"`{check.modifier}` does not go with `{check.operator}` and type {kind.value}",
                help="use it with `=` or `!=`",
            )  # fmt: skip
            return False
        return True

    def _reference(
        self, check: syntax.Check, right: syntax.Transformer, kind: FieldType
    ) -> ir.Operand | None:
        if check.operator in _NO_REFERENCE or kind is FieldType.NETWORK:
            self._add(
                Code.BAD_VALUE, right.span,
                f"the right side of `{check.operator}` must be written out here",
                help="a field or transformer is compared with `=`, `!=`, `startswith` and so on",
            )  # fmt: skip
            return None
        typed = self._operand(right, _Side.RIGHT)
        if typed is None:
            return None
        operand, found = typed
        if found is not kind:
            self._add(
                Code.BAD_VALUE, right.span,
                f"the left side is of type {kind.value}, the right side of type {found.value}",
                help="both sides must have the same type",
            )  # fmt: skip
            return None
        if isinstance(check.left, syntax.Field) and _is_event_name(check.left):
            self._add(
                Code.BAD_VALUE, right.span, f"`{check.left.name}` must be compared with names",
                help="the events a rule is tested on are chosen when it is loaded",
            )  # fmt: skip
            return None
        return operand

    def _value(
        self, item: syntax.Text, check: syntax.Check, left: ir.Operand, kind: FieldType
    ) -> ir.Scalar | None:
        text = item.value
        try:
            value = convert(text, kind, check.operator)
            if check.operator == "regex":
                regex(text)
        except BadValueError as error:
            self._add(Code.BAD_VALUE, item.span, error.message, help=error.help)
            return None
        except RegexError as error:
            self._add(Code.BAD_REGEX, item.span, error.message, help=error.help)
            return None
        if isinstance(left, ir.FieldRef) and _is_event_name(left.definition):
            if check.operator in {*_EQUALITY, *_SETS} and text not in KNOWN:
                self._add(
                    Code.UNKNOWN_EVENT, item.span, f"unknown event type `{text}`",
                    help=did_you_mean(text, KNOWN),
                )  # fmt: skip
                return None
        elif not item.quoted and kind is FieldType.TEXT:
            self._advise_on_value(item, check)
        return value

    def _advise_on_value(self, item: syntax.Text, check: syntax.Check) -> None:
        text = item.value
        if "." in text and lookup(text) is not None:
            self._warn(
                item.span, f"`{text}` is compared as plain text, and it is the name of a field",
                help=f"write `val({text})` for its value, or quote it",
            )  # fmt: skip
        elif check.operator == "regex" and not _REGEX_SIGNS & set(text):
            self._warn(
                item.span, f"the pattern `{text}` is plain text", help="use `=`, which is faster"
            )

    def _operand(self, operand: syntax.Operand, side: _Side) -> _Typed | None:
        match operand:
            case syntax.Field():
                return self._field(operand, side)
            case syntax.Transformer(name="val", arguments=(syntax.Field() as field,)):
                return self._field(field, _Side.RIGHT)
            case syntax.Transformer():
                return self._transformer(operand)
            case _:
                self._add(
                    Code.BAD_TRANSFORMER, operand.span, "a field or transformer must stand here"
                )
                return None

    def _field(self, field: syntax.Field, side: _Side) -> _Typed | None:
        name, argument = field.name, field.argument
        if name in {"evt.arg", "evt.rawarg"} and argument and not argument.isdigit():
            name, argument = f"{name}.{argument}", None
        definition = lookup(name)
        if definition is None:
            self._unknown_field(field, name)
            return None
        if argument is None and definition.argument is Argument.REQUIRED:
            self._add(
                Code.FIELD_ARGUMENT, field.span, f"`{name}` needs an argument",
                help=f"write `{name}[…]`",
            )  # fmt: skip
            return None
        if argument is not None and definition.argument is Argument.NONE:
            self._add(
                Code.FIELD_ARGUMENT, field.span, f"`{name}` takes no argument",
                help=f"write `{name}` alone",
            )  # fmt: skip
            return None
        try:
            definition.bind(argument)
        except ValueError as error:
            self._add(Code.FIELD_ARGUMENT, field.span, str(error), help=definition.doc)
            return None
        if side is _Side.RIGHT and Flag.NO_RHS in definition.flags:
            self._add(
                Code.BAD_VALUE, field.span, f"`{name}` cannot stand on the right side",
                help="it may stand for several values",
            )  # fmt: skip
            return None
        if side is _Side.INSIDE and Flag.NO_TRANSFORMER in definition.flags:
            self._add(
                Code.BAD_TRANSFORMER, field.span, f"`{name}` cannot be transformed",
                help="it may stand for several values",
            )  # fmt: skip
            return None
        self._advise_on_field(field, definition.flags)
        return ir.FieldRef(definition, argument), definition.type

    def _unknown_field(self, field: syntax.Field, name: str) -> None:
        help = did_you_mean(name, all_names())
        if name in FALCO_ONLY:
            help = "Falco has this field, guard has no data for it"
        elif name.startswith("evt.rawarg.") and lookup(name.replace("raw", "")) is not None:
            help = f"calls disagree about its type: use `{name.replace('raw', '')}`"
        self._add(Code.UNKNOWN_FIELD, field.span, f"unknown field `{name}`", help=help)

    def _advise_on_field(self, field: syntax.Field, flags: frozenset[Flag]) -> None:
        if field.name in self._advised:
            return
        if Flag.UNAVAILABLE in flags:
            self._advised.add(field.name)
            self._warn(
                field.span, f"`{field.name}` never has a value here",
                help="comparisons with it are false, and `not` makes them true",
            )  # fmt: skip
        elif Flag.DEPRECATED in flags:
            self._advised.add(field.name)
            self._add(
                Code.DEPRECATED_ITEM, field.span, f"`{field.name}` is deprecated",
                help="leave it out: every event is made when its call ends",
                severity=Severity.WARNING,
            )  # fmt: skip

    def _transformer(self, call: syntax.Transformer) -> _Typed | None:
        operands: list[
            ir.FieldRef | ir.Call | ir.Scalar | tuple[ir.FieldRef | ir.Call | ir.Scalar, ...]
        ] = []
        kinds: list[FieldType] = []
        for argument in call.arguments:
            if isinstance(argument, syntax.OperandList):
                typed = [self._argument(item) for item in argument.items]
                if None in typed:
                    return None
                operands.append(tuple(item[0] for item in typed if item is not None))
                kinds.append(FieldType.LIST)
            else:
                single = self._argument(argument)
                if single is None:
                    return None
                operands.append(single[0])
                kinds.append(single[1])
        made = ir.Call(call.name, tuple(operands), call.argument)
        try:
            return made, transformers.result_type(made, kinds)
        except transformers.TransformerError as error:
            self._add(Code.BAD_TRANSFORMER, call.span, error.message, help=error.help)
            return None

    def _argument(self, operand: syntax.Operand) -> tuple[_Input, FieldType] | None:
        if isinstance(operand, syntax.Text):
            return operand.value, FieldType.TEXT
        return self._operand(operand, _Side.INSIDE)

    def _warn(self, span: syntax.Span, message: str, *, help: str) -> None:
        self._add(Code.SUSPICIOUS_CONDITION, span, message, help=help, severity=Severity.WARNING)

    def _add(
        self, code: Code, span: syntax.Span, message: str, *, help: str = "",
        severity: Severity = Severity.ERROR,
    ) -> None:  # fmt: skip
        self._problems.append(Problem(code, span, message, help, severity=severity))


def _is_event_name(field: object) -> bool:
    return getattr(field, "name", "") in {"evt.type", "syscall.type"}


def _is_too_deep(expr: syntax.Expr) -> bool:
    level: list[syntax.Expr] = [expr]
    for _ in range(MAX_DEPTH):
        # Shared subtrees are looked at once per level, so the walk stays linear.
        following: dict[int, syntax.Expr] = {}
        for node in level:
            if isinstance(node, syntax.Not):
                following[id(node.child)] = node.child
            elif isinstance(node, syntax.And | syntax.Or):
                following.update((id(child), child) for child in node.children)
        level = list(following.values())
        if not level:
            return False
    return True

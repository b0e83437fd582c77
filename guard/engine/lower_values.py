"""Comparisons decided while lowering: a value that is known, or a range of numbers."""

from __future__ import annotations

from collections.abc import Callable

from guard.engine.ir import Scalar

_TEXT: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": str.__contains__,
}


def compare_value(operator: str, value: str | bool, values: tuple[Scalar, ...]) -> bool | None:  # noqa: FBT001  # a value, not a switch
    """`value operator values`; None for an operator that is not known here."""
    if operator == "exists":
        return True
    if operator in {"=", "in", "intersects"}:
        return value in values
    if operator == "!=":
        return value != values[0]
    test = _TEXT.get(operator)
    if test is None or not isinstance(value, str):
        return None
    return any(test(value, str(item)) for item in values)


def compare_number(
    low: float, high: float, operator: str, values: tuple[Scalar, ...]
) -> bool | None:
    """`x operator values` for every x from `low` to `high`; None when it depends on x."""
    if operator == "exists":
        return True
    numbers = [value for value in values if isinstance(value, int)]
    match operator:
        case "=" | "in" | "intersects":
            inside = [number for number in numbers if low <= number <= high]
            return False if not inside else True if low == high else None
        case "!=":
            equal = compare_number(low, high, "=", values)
            return None if equal is None else not equal
        case "<":
            return _always(high < numbers[0], low < numbers[0])
        case "<=":
            return _always(high <= numbers[0], low <= numbers[0])
        case ">":
            return _always(low > numbers[0], high > numbers[0])
        case ">=":
            return _always(low >= numbers[0], high >= numbers[0])
    return None


def _always(for_all: bool, for_some: bool) -> bool | None:  # noqa: FBT001  # a pair of answers
    return True if for_all else None if for_some else False

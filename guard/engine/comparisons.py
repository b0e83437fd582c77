"""One comparison of values: operator, modifier and right side bound into a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network
from operator import contains, eq, ge, gt, le, lt, ne
from typing import Any, TypeAlias

from guard.engine.fields import FieldType
from guard.engine.ir import Scalar
from guard.engine.patterns import ascii_lower, glob, path_match, regex

# The checker made sure that both sides have types the operator takes.
Predicate: TypeAlias = Callable[[Any], bool]

_MODIFIERS: dict[str, Callable[[Iterable[bool]], bool]] = {
    "anyof": any,
    "oneof": lambda results: sum(results) == 1,
    "allof": all,
}


def predicate(
    operator: str, values: Sequence[Scalar], modifier: str | None, kind: FieldType
) -> Predicate:
    """What a value of type `kind` must satisfy."""
    if modifier is None:
        return _plain(operator, values, kind)
    if not values:
        return lambda _: False
    if modifier == "anyof" and operator == "=" and kind is not FieldType.NETWORK:
        return _one_of(values)
    tests = [_plain(operator, (value,), kind) for value in values]
    combine = _MODIFIERS[modifier]
    return lambda value: combine(test(value) for test in tests)


def between(operator: str, kind: FieldType) -> Callable[[Any, Any], bool]:
    """A comparison whose right side is known only with the event."""
    if operator in {"in", "intersects"}:
        if kind is FieldType.LIST:
            combine = all if operator == "in" else any
            return lambda left, right: bool(left) and combine(item in right for item in left)
        return eq
    if operator in _ORDER and kind is FieldType.TEXT:
        order = _ORDER[operator]
        return lambda left, right: order(_bytes(left), _bytes(right))
    return _BINARY[operator]


def _plain(operator: str, values: Sequence[Scalar], kind: FieldType) -> Predicate:
    if kind is FieldType.NETWORK:
        return _in_networks(values, negated=operator == "!=")
    if operator in {"in", "intersects"}:
        if kind is FieldType.LIST:
            return _list_test(operator, frozenset(values))
        return _one_of(values)
    if operator == "pmatch":
        return path_match(map(str, values))
    (value,) = values  # INVARIANT: the other operators take one
    if operator in _TEXT_TESTS and isinstance(value, str):
        return _TEXT_TESTS[operator](value)
    if operator in _ORDER and isinstance(value, str):
        order, expected = _ORDER[operator], _bytes(value)
        return lambda text: order(_bytes(text), expected)
    compare: Callable[[Any, Any], bool] = _BINARY[operator]
    return lambda left: compare(left, value)


def _one_of(values: Iterable[Scalar]) -> Predicate:
    items = frozenset(values)
    return lambda value: value in items


def _list_test(operator: str, items: frozenset[Scalar]) -> Predicate:
    if operator == "in":
        return lambda values: bool(values) and items.issuperset(values)
    return lambda values: not items.isdisjoint(values)


def _in_networks(values: Iterable[Scalar], *, negated: bool) -> Predicate:
    # Whole numbers: membership in an ip_network costs ten times as much.
    ranges: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
    for network in values:
        assert isinstance(network, IPv4Network | IPv6Network)  # INVARIANT: by check
        ranges[network.version].append((int(network.netmask), int(network.network_address)))

    def test(address: Any) -> bool:  # an address, by type NETWORK
        number = int(address)
        inside = any(number & mask == base for mask, base in ranges[address.version])
        return inside is not negated

    return test


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _icontains(left: str, right: str) -> bool:
    return ascii_lower(right) in ascii_lower(left)


def _folded_contains(value: str) -> Predicate:
    folded = ascii_lower(value)
    return lambda text: folded in ascii_lower(text)


_ORDER: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_BINARY: dict[str, Callable[[Any, Any], bool]] = {
    **_ORDER,
    "=": eq,
    "!=": ne,
    "contains": contains,
    "bcontains": contains,
    "icontains": _icontains,
    "startswith": lambda left, right: left.startswith(right),
    "bstartswith": lambda left, right: left.startswith(right),
    "endswith": lambda left, right: left.endswith(right),
    "glob": lambda left, right: glob(right)(left),
    "iglob": lambda left, right: glob(right, ignore_case=True)(left),
}
_TEXT_TESTS: dict[str, Callable[[str], Predicate]] = {
    "icontains": _folded_contains,
    "glob": glob,
    "iglob": lambda value: glob(value, ignore_case=True),
    "regex": regex,
}

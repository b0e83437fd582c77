"""One comparison of a rule as a formula over kernel predicates."""

from __future__ import annotations

import ipaddress

from guard.data import replace
from guard.engine.fields import Flag
from guard.engine.ir import FieldRef, Network, Scalar, Test
from guard.engine.kernel_plan import Port, Reach, Subject
from guard.engine.lower_cases import (
    IPV4,
    IPV6,
    Case,
    Choice,
    End,
    Numbers,
    Setting,
    Undecided,
    cases_of,
)
from guard.engine.lower_formula import (
    FALSE,
    TRUE,
    Formula,
    Literal,
    all_of,
    any_of,
    holds,
    negate,
    unknown,
)
from guard.engine.lower_paths import PathView, lower_path
from guard.engine.lower_values import compare_number, compare_value

_NO_SINGLE_ANCESTOR = "the kernel knows all ancestors together, not one by one"
_ONLY_EQUAL = "the kernel compares addresses and ports only with `=`, `!=` and `in`"


def lower_test(test: Test, setting: Setting) -> Formula:
    """What the kernel can say about `test` for events of the setting's kind."""
    if not isinstance(test.left, FieldRef):
        return unknown(test.text, "the kernel does not transform text")
    if test.operand is not None:
        return unknown(test.text, "the kernel does not compare two fields")
    if Flag.UNAVAILABLE in test.left.definition.flags:
        return FALSE
    cases = cases_of(test.left.definition.name, test.left.argument, setting)
    if cases is None:
        return unknown(test.text, f"the kernel does not see `{test.left.definition.name}`")
    if test.modifier is not None:
        return _with_modifier(test, setting)
    found = any_of(*(all_of(case.when, _lower_case(case, test)) for case in cases))
    if not test.left.definition.has_many(test.left.argument):
        return found
    if test.operator in {"!=", "exists"}:
        return unknown(test.text, _NO_SINGLE_ANCESTOR)
    if isinstance(found, Literal) or found in {TRUE, FALSE}:
        return found
    # Each part may hold for another ancestor.
    return unknown(test.text, _NO_SINGLE_ANCESTOR, implies=found)


def _with_modifier(test: Test, setting: Setting) -> Formula:
    assert isinstance(test.left, FieldRef)  # INVARIANT: lower_test
    if not test.values:
        return FALSE
    if test.left.definition.has_many(test.left.argument):
        return unknown(test.text, _NO_SINGLE_ANCESTOR)
    each = [
        lower_test(replace(test, modifier=None, values=(value,)), setting) for value in test.values
    ]
    if test.modifier == "allof":
        return all_of(*each)
    if test.modifier == "anyof" or len(each) == 1:
        return any_of(*each)
    return unknown(test.text, "the kernel does not count matches", implies=any_of(*each))


def _lower_case(case: Case, test: Test) -> Formula:
    match case.value:
        case Undecided(reason):
            return unknown(test.text, reason)
        case PathView() as view:
            values = tuple(str(value) for value in test.values)
            return lower_path(view, test.operator, values, test.text)
        case Numbers(low, high):
            return _decided(compare_number(low, high, test.operator, test.values), test)
        case Choice(values, or_missing):
            results = {compare_value(test.operator, value, test.values) for value in values}
            if or_missing:
                results.add(False)
            return _decided(results.pop() if len(results) == 1 else None, test)
        case End() as end:
            return _lower_end(end, test)
        case str() | bool() as value:
            return _decided(compare_value(test.operator, value, test.values), test)


def _decided(result: bool | None, test: Test) -> Formula:  # noqa: FBT001  # an answer, not a switch
    if result is None:
        return unknown(test.text, f"the kernel cannot decide `{test.operator}` here")
    return TRUE if result else FALSE


def _lower_end(end: End, test: Test) -> Formula:
    """An address or port. Only IP sockets have one."""
    is_ip = any_of(IPV4, IPV6)
    match test.operator:
        case "exists":
            return is_ip
        case "=" | "in" | "intersects":
            return _sources(end, test.values)
        case "!=":
            return all_of(is_ip, negate(_sources(end, test.values)))
    return unknown(test.text, _ONLY_EQUAL, implies=is_ip)


def _sources(end: End, values: tuple[Scalar, ...]) -> Formula:
    if end is End.PORT:
        ports = (Port(value) for value in values if isinstance(value, int))
        return holds(Subject.OPERATION, ports)
    return holds(Subject.OPERATION, (Reach(_network(value)) for value in values))


def _network(value: Scalar) -> Network:
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    assert isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address)  # INVARIANT: check
    return ipaddress.ip_network(value)

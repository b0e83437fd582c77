"""From the text of a right side to a value of the field's type."""

from __future__ import annotations

import ipaddress
import re

from guard.engine.fields import INTEGER_RANGES, FieldType
from guard.engine.fields.services import SERVICES
from guard.engine.ir import Scalar

_INTEGER = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]+)|(0|[1-9][0-9]*))\Z", re.ASCII)
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+\Z", re.ASCII)


class BadValueError(ValueError):
    """`message` says what does not fit, `help` what would."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


def convert(text: str, kind: FieldType, operator: str) -> Scalar:
    """`text` as a value that `operator` can compare with one of type `kind`.

    Raises `BadValueError`.
    """
    if kind is FieldType.BYTES:
        return _bytes(text, operator)
    if kind in {FieldType.TEXT, FieldType.LIST}:
        if "\0" in text:
            raise BadValueError("a value cannot hold a NUL byte")
        return text
    if kind is FieldType.BOOL:
        return _bool(text)
    if kind is FieldType.ADDRESS:
        return _address(text)
    if kind is FieldType.NETWORK:
        return _network(text)
    if kind is FieldType.PORT and text.lower() in SERVICES:
        return SERVICES[text.lower()]
    return _integer(text, kind)


def _bytes(text: str, operator: str) -> bytes:
    if operator in {"bcontains", "bstartswith"}:
        if not _HEX.match(text):
            raise BadValueError(
                f"`{text}` is not a sequence of bytes", "write two hex digits for each byte"
            )
        return bytes.fromhex(text)
    return text.encode("utf-8", "surrogateescape")


def _bool(text: str) -> bool:
    if text not in {"true", "false"}:
        raise BadValueError(f"`{text}` is neither `true` nor `false`")
    return text == "true"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        hint = "to test for a network use the field with `net`" if "/" in text else ""
        raise BadValueError(f"`{text}` is not an IP address", hint) from None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if "/" not in text:
        raise BadValueError(f"`{text}` is not a network", f"write `{text}/32` for one IPv4 address")
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadValueError(f"`{text}` is not a network", "write it as `10.0.0.0/8`") from None


def _integer(text: str, kind: FieldType) -> int:
    found = _INTEGER.match(text)
    if found is None:
        raise BadValueError(f"`{text}` is not a whole number")
    sign, hexadecimal, octal, decimal = found.groups()
    if hexadecimal is not None:
        value = int(hexadecimal, 16)
    else:
        value = int(octal, 8) if octal is not None else int(decimal)
    if sign == "-":
        value = -value
    low, high = INTEGER_RANGES[kind]
    if not low <= value <= high:
        raise BadValueError(f"`{text}` is out of range", f"values are {low} to {high}")
    return value

"""Text chosen by the guarded program cannot act on the terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.outputs.escape import printable


def test_every_dangerous_kind_is_escaped() -> None:
    assert printable("\x1b]0;t\x07") == "\\x1b]0;t\\x07"
    assert printable("a\nb\tc\rd") == "a\\nb\\tc\\rd"
    assert printable("\x9b31m\x7f") == "\\x9b31m\\x7f"
    assert printable("\u202egpj.exe") == "\\u202egpj.exe"
    assert printable("\udcff\udc80") == "\\xff\\x80"
    assert printable("\U000e0041") == "\\U000e0041"


def test_ordinary_text_is_left_alone() -> None:
    assert printable("/home/jürgen/日本語 file.txt") == "/home/jürgen/日本語 file.txt"


@given(st.text())
def test_result_is_one_printable_encodable_line(text: str) -> None:
    escaped = printable(text)
    escaped.encode()
    assert not [c for c in escaped if ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0]

"""The call table has the kernel's numbers and covers every event call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guard.bpf.layout import Layout
from guard.bpf.syscalls import NUMBERS, SOCKETCALLS, call_entries
from guard.event import CALLS

HEADERS = Path("/usr/include/x86_64-linux-gnu/asm")


def header_numbers(name: str, prefix: str = "__NR_") -> dict[str, int]:
    path = HEADERS / name if name.startswith("unistd") else Path("/usr/include/linux") / name
    if not path.exists():
        pytest.skip(f"{path} is not installed: apt-get install linux-libc-dev")
    text = path.read_text()
    return {m[1]: int(m[2]) for m in re.finditer(rf"#define {prefix}(\w+)\s+(\d+)", text)}


def test_native_numbers():
    known = header_numbers("unistd_64.h")
    stated = {name: native for name, (native, _) in NUMBERS.items() if name in known}
    assert stated == {name: known[name] for name in stated}
    assert len(stated) > 75


def test_compat_numbers():
    """Both numbers of calls that i386 has twice: setuid and setuid32."""
    known = header_numbers("unistd_32.h")
    for name, (_, compat) in NUMBERS.items():
        expected = [known[n] for n in (name, name + "32", name + "64") if n in known]
        assert list(compat) == expected or name not in known


def test_socketcall_numbers():
    known = header_numbers("net.h", "SYS_")
    assert {name: known[name.upper()] for name in SOCKETCALLS} == SOCKETCALLS


def test_every_call_can_be_seen():
    """Only `procexit` is not a system call."""
    calls = {call for names in CALLS.values() for call in names}
    assert calls - set(NUMBERS) == {"procexit"}
    assert set(NUMBERS) <= calls


def test_entries(layout: Layout):
    """Indexes are unique and inside the map; 32-bit openat is the call openat."""
    entries = list(call_entries(layout))
    abis = layout.enum("call_abi")
    table = dict(entries)
    assert len(table) == len(entries)
    assert max(table) < abis["ABI_COUNT"] * abis["CALLS_PER_ABI"]
    compat = table[abis["ABI_COMPAT"] * abis["CALLS_PER_ABI"] + 295]
    assert compat == table[257]
    assert layout.struct("call_entry").unpack(compat) == {
        "handler": layout.enum("handler")["HANDLER_OPEN"],
        "call": layout.enum("event_call")["CALL_OPENAT"],
        "kind": layout.enum("event_kind")["EVENT_FILE_OPEN"],
        "pad": 0,
    }


def test_calls_with_hooks_of_their_own_have_no_handler(layout: Layout):
    table = dict(call_entries(layout))
    entry = layout.struct("call_entry").unpack(table[NUMBERS["execve"][0]])
    assert entry["handler"] == 0
    assert entry["call"] == layout.enum("event_call")["CALL_EXECVE"]

"""Program against the running kernel: what it loads, writes, attaches and leaves behind."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.bpf.layout import Layout
from guard.bpf.probe import probe_attach_types
from guard.bpf.program import Program, learn_inodes, set_task_state
from guard.errors import PrivilegeError, UnsupportedError

pytestmark = pytest.mark.kernel

NO_PROGRAMS = "learn_inodes".__eq__  # loading one is enough here, and quick


@pytest.fixture(scope="module")
def program(object_path: Path) -> Iterator[Program]:
    with Program.open(object_path, ring_bytes={"candidates": 8192}, autoload=NO_PROGRAMS) as made:
        made.load()
        yield made


def test_sizes_are_set_before_loading(program: Program):
    assert program.map("candidates").max_entries == 8192
    assert program.map("scratch").max_entries >= 2 * (os.cpu_count() or 1)


def test_autoload_selects(program: Program):
    assert program.is_loaded("learn_inodes")
    assert not program.is_loaded("sys_exit")
    assert not program.is_loaded("no_such_program")


def test_calls_are_filled(program: Program):
    openat = program.map("calls").lookup((257).to_bytes(4, "little"))
    assert openat is not None
    assert any(openat)


def test_map_round_trip(program: Program):
    ports = program.map("ports")
    key, value = bytes(ports.key_size), bytes(range(ports.value_size))
    assert ports.lookup(key) is None
    ports.update(key, value)
    assert ports.lookup(key) == value
    assert list(ports.items()) == [(key, value)]
    assert ports.delete(key)
    assert not ports.delete(key)
    assert list(ports.keys()) == []


def test_map_refuses_wrong_sizes(program: Program):
    """A short buffer would make the kernel read memory that is not ours."""
    ports = program.map("ports")
    with pytest.raises(ValueError, match="map ports takes"):
        ports.update(b"", bytes(ports.value_size))
    with pytest.raises(ValueError, match="map ports takes"):
        ports.lookup(bytes(ports.key_size + 1))


def test_full_map_says_so(program: Program):
    requests = program.map("inode_requests")
    for fd in range(requests.max_entries):
        requests.update(fd.to_bytes(4, "little"), bytes(8))
    with pytest.raises(UnsupportedError, match="map `inode_requests` cannot be written") as caught:
        requests.update(requests.max_entries.to_bytes(4, "little"), bytes(8))
    assert f"it holds {requests.max_entries} entries at most" in caught.value.message
    for key in list(requests.keys()):
        requests.delete(key)


def test_per_cpu_values(program: Program):
    counters = program.map("counters").lookup_cpus(bytes(4))
    assert len(counters) >= (os.cpu_count() or 1)
    assert {len(value) for value in counters} == {program.layout.struct("event_counters").size}


def test_inodes_are_learned(program: Program, tmp_path: Path):
    """Two descriptors of one file have one inode; another file has another."""
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    fds = [os.open(tmp_path / name, os.O_PATH) for name in ("a", "b", "a")]
    try:
        first, second, third = learn_inodes(program, fds)
    finally:
        for fd in fds:
            os.close(fd)
    assert first == third != second
    assert first >> 47  # a kernel address
    assert list(program.map("inode_requests").keys()) == []


def test_unknown_descriptor_is_an_error(program: Program):
    with pytest.raises(UnsupportedError, match="descriptor 4000"):
        learn_inodes(program, [4000])


def test_task_state_is_stored_by_pidfd(program: Program):
    state = program.layout.struct("task_state").pack({"program": 5})
    pidfd = os.pidfd_open(os.getpid())
    try:
        set_task_state(program, pidfd, state)
        assert program.map("tasks").lookup(pidfd.to_bytes(4, "little")) == state
    finally:
        os.close(pidfd)


def test_all_programs_load(object_path: Path):
    """The whole object passes this kernel's verifier; closing removes all of it."""
    with Program.open(object_path) as program:
        program.load()
        program.attach("process_exit")
        program.detach("process_exit")
        program.attach("process_exit")
        fd = program.map("counters").fd
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    program.close()


def test_not_a_cgroup(object_path: Path, tmp_path: Path):
    with Program.open(object_path, autoload="connect4".__eq__) as program:
        program.load()
        fd = os.open(tmp_path, os.O_RDONLY)
        try:
            with pytest.raises(UnsupportedError, match="program `connect4` cannot be attached"):
                program.attach_cgroup("connect4", fd)
        finally:
            os.close(fd)


REFUSED = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("tp_btf/sys_exit") int reads_beyond(unsigned long long *ctx)
{
    return *(volatile int *)(ctx[0] * 8);
}
"""


def test_refused_program_is_named_with_the_log(tmp_path: Path, capfd):
    """The message has the program, the reason and the verifier's words; libbpf prints nothing."""
    source, made = tmp_path / "refused.bpf.c", tmp_path / "refused.bpf.o"
    source.write_text(REFUSED)
    flags = ["-g", "-O2", "-target", "bpf", "-idirafter", "/usr/include/x86_64-linux-gnu"]
    try:
        subprocess.run(["clang", *flags, "-c", source, "-o", made], check=True)
    except FileNotFoundError:
        pytest.skip("clang is not installed")
    with Program.open(made) as program, pytest.raises(UnsupportedError) as caught:
        program.load()
    assert "the kernel refuses program `reads_beyond`: " in caught.value.message
    assert len(caught.value.message.splitlines()) > 2
    assert caught.value.help
    assert capfd.readouterr() == ("", "")


def test_empty_object_cannot_be_opened(tmp_path: Path, layout: Layout):
    path = tmp_path / "none.o"
    path.write_bytes(b"")
    with pytest.raises(UnsupportedError, match="not a kernel object"):
        Program.open(path)


def test_without_root_the_privilege_is_named(object_path: Path):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setresuid(65534, 65534, 65534)
            Program.open(object_path).load()
        except PrivilegeError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_probes_find_what_the_object_needs():
    """tp_btf works wherever these tests run; what fails has a reason."""
    found = probe_attach_types()
    assert set(found) == {"tp_btf", "iter", "cgroup", "fentry", "fmod_ret", "lsm"}
    assert found["tp_btf"].works
    assert all(support.works == (support.reason == "") for support in found.values())

"""Support: every line is found by doing, and says what to do when it is missing."""

from __future__ import annotations

import os

import pytest

from guard.bpf.probe import AttachSupport
from guard.enforce import support
from guard.enforce.support import TIER_NONE, TIER_TRACE, Capability, Support
from guard.errors import UnsupportedError

ALL = ("tp_btf", "iter", "cgroup", "fmod_ret", "lsm")


def test_a_required_thing_that_is_missing_leaves_no_tier():
    broken = Support((Capability("BTF", ok=False), Capability("BPF LSM", ok=False)))

    assert broken.tier == TIER_NONE
    assert [item.name for item in broken.missing] == ["BTF"]
    assert Support((Capability("BPF LSM", ok=False),)).tier == TIER_TRACE


def test_privileges_are_read_from_the_effective_set(tmp_path):
    status = tmp_path / "status"
    status.write_text("CapPrm:\t000001ffffffffff\nCapEff:\t0000000000201000\n")

    found = support.privileges(status)

    assert (found.ok, found.detail) == (False, "missing CAP_PERFMON, CAP_BPF")
    status.write_text("CapEff:\t000001ffffffffff\n")
    assert support.privileges(status).ok


def test_type_information_and_object_name_the_missing_file(tmp_path):
    for probe in (support.type_information, support.kernel_object):
        found = probe(tmp_path / "missing")
        assert not found.ok
        assert str(tmp_path) in found.detail
        assert found.remedy
        assert probe(tmp_path).ok


def test_cgroup2_that_is_not_mounted(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text("cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n")

    (found,) = support.cgroup(mounts)

    assert not found.ok
    assert "mount -t cgroup2" in found.remedy


def test_cgroup2_is_tried_by_making_a_group(tmp_path):
    """A plain directory stands in: it can be made, but offers no files."""
    mounts = tmp_path / "mounts"
    place = tmp_path / "with blank"
    place.mkdir()
    mounts.write_text(f"none {str(place).replace(' ', chr(92) + '040')} cgroup2 rw 0 0\n")

    found = list(support.cgroup(mounts))

    assert [(item.name, item.ok) for item in found] == [
        ("cgroup2", True),
        ("cgroup.kill", False),
        ("cgroup.freeze", False),
    ]
    assert os.listdir(place) == []


def test_attach_types_become_lines():
    found = {
        item.name: item
        for item in support.attach(
            lambda: {
                name: AttachSupport(name, works=name != "lsm", reason="refused") for name in ALL
            }
        )
    }

    assert found["cgroup hooks"].ok
    assert not found["BPF LSM"].ok
    assert found["BPF LSM"].detail == "refused"
    assert "killing" in found["BPF LSM"].remedy


def test_attach_types_that_cannot_be_tried_are_missing():
    def no_library():
        raise UnsupportedError("libbpf.so.1 is missing")

    found = list(support.attach(no_library))

    assert [item.ok for item in found] == [False] * 5
    assert found[0].detail == "libbpf.so.1 is missing"


def test_an_object_that_cannot_be_loaded(tmp_path):
    broken = tmp_path / "guard.bpf.o"
    broken.write_bytes(b"no ELF")

    found = list(support.load(broken))

    assert [(item.name, item.ok) for item in found] == [("programs", False), ("ring buffer", False)]


@pytest.mark.parametrize(("value", "ok"), [("0", False), ("1", True), ("2", True)])
def test_io_uring(tmp_path, value, ok):
    setting = tmp_path / "io_uring_disabled"
    setting.write_text(value + "\n")

    assert support.io_uring(setting).ok is ok


@pytest.mark.parametrize(("value", "ok"), [("0", True), ("1", False)])
def test_terminal_injection(tmp_path, value, ok):
    setting = tmp_path / "legacy_tiocsti"
    setting.write_text(value)

    assert support.terminal_injection(setting).ok is ok


def test_settings_that_an_old_kernel_lacks_count_as_open(tmp_path):
    assert not support.io_uring(tmp_path / "none").ok
    assert not support.terminal_injection(tmp_path / "none").ok


def test_landlock_by_version():
    assert support.landlock(lambda: 5).detail == "ABI 5"
    assert not support.landlock(lambda: 0).ok


@pytest.mark.kernel
def test_this_machine():
    from tests.conftest import OBJECT

    found = support.probe_support(OBJECT)

    assert found.missing == ()
    assert found.tier == TIER_TRACE
    assert found.find("libbpf").detail.startswith("v1.")

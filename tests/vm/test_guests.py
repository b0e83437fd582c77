"""The runner itself, in every default guest; the kernel ring runs there through `make test-vm`."""

import sys

import pytest

from tests.vm.config import CACHE, GUESTS
from tests.vm.vm import run

pytestmark = [pytest.mark.vm, pytest.mark.slow]
DEFAULT = [guest for guest in GUESTS if guest.default]


@pytest.mark.parametrize("guest", DEFAULT, ids=lambda guest: guest.name)
def test_a_guest_runs_this_tree_under_its_own_kernel(guest):
    """Other kernel, same user space; cgroup2, BTF and the exit status are as told."""
    script = (
        "uname -r; stat -f -c %T /sys/fs/cgroup; test -e /sys/kernel/btf/vmlinux &&"
        f" {sys.executable} -c 'import guard; print(guard.__name__)'; exit 3"
    )

    result = run(guest, ["bash", "-c", script], timeout=120, echo=False)

    assert result.status == 3, result.output
    release, *rest = result.output
    assert release.startswith(guest.name + ".")
    assert rest == ["cgroup2fs", "guard"]


def test_a_guest_leaves_the_host_as_it_was():
    """Writes end in the guest's memory."""
    marker = CACHE / "written-by-a-guest"

    result = run(
        DEFAULT[-1], ["bash", "-c", f"echo >{marker} && test -e {marker}"], timeout=60, echo=False
    )

    assert result.status == 0, result.output
    assert not marker.exists()


def test_a_guest_that_hangs_is_stopped():
    result = run(DEFAULT[-1], ["sleep", "600"], timeout=25, echo=False)

    assert result.status is None
    assert result.seconds < 40

"""memfd_create: files without a name in any directory."""

import errno

import pytest

pytestmark = pytest.mark.kernel
COUNT = 7


def test_made(session, trigger, place):
    run = session.run([trigger, "memfd_create", COUNT], cwd=place)

    for line, event in run.pairs("memfd_create", COUNT):
        run.check(
            event,
            call="memfd_create",
            res=line["res"],
            memfd_flags=line["memfd_flags"],
            name=line["name"],
        )


def test_refused(session, trigger, place):
    """The kernel takes names of 249 bytes."""
    run = session.run([trigger, "memfd_create", COUNT, "n" * 250], cwd=place)

    for line, event in run.pairs("memfd_create", COUNT):
        run.check(
            event,
            call="memfd_create",
            res=-errno.EINVAL,
            memfd_flags=line["memfd_flags"],
            name="n" * 250,
        )

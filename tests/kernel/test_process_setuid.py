"""process_setuid: who the process is afterwards."""

import errno

import pytest

from tests.kernel.test_process_exec import caps

pytestmark = pytest.mark.kernel
COUNT = 5
NOBODY = 65534
USER_CALLS = ("setuid", "setreuid", "setresuid")
GROUP_CALLS = ("setgid", "setregid", "setresgid")


@pytest.mark.parametrize("call", [*USER_CALLS, "setfsuid", *GROUP_CALLS, "setfsgid", "setgroups"])
def test_changed_by(call, session, trigger, place):
    """All user ids: no capability is left. Other calls keep them; setfsuid keeps the permitted."""
    run = session.run([trigger, call, COUNT], cwd=place)

    permitted, effective = caps("self", "CapPrm"), caps("self", "CapEff")
    if call in USER_CALLS:
        permitted = effective = 0
    if call == "setfsuid":
        # Those on files: chown, dac_*, fowner, fsetid, linux_immutable, mknod, mac_override.
        effective &= ~0x10800021F
    for line, event in run.pairs("process_setuid", COUNT):
        run.check(
            event,
            pid=line["pid"],
            call=call,
            res=line["res"],
            uid=NOBODY if call in USER_CALLS else 0,
            gid=NOBODY if call in GROUP_CALLS else 0,
            euid=NOBODY if call in USER_CALLS else 0,
            arg_id=1 if call == "setgroups" else NOBODY,  # the first argument: a number of groups
            cap_permitted=permitted,
            cap_effective=effective,
        )


def test_a_refused_change(session, trigger, place):
    run = session.run([trigger, "setuid", COUNT, 0], cwd=place, user=NOBODY, group=NOBODY)

    for line, event in run.pairs("process_setuid", COUNT):
        run.check(
            event,
            pid=line["pid"],
            call="setuid",
            res=-errno.EPERM,
            euid=NOBODY,
            arg_id=0,
            cap_permitted=0,
            cap_effective=0,
        )

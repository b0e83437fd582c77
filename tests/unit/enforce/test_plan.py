"""What a rule gets on a machine, and that it is never claimed to be more."""

from __future__ import annotations

import pytest

from guard.alert import Action
from guard.enforce.plan import Effect, enforcement, require_block
from guard.enforce.support import Capability, Support
from guard.engine.lower import lower
from guard.errors import UnsupportedError
from tests.unit.engine.lowering import CONSTANTS, policy

TRACE = Support(())
NONE = Support((Capability("BTF", ok=False),))
OPEN = "evt.type in (open, openat, openat2) and fd.name = /etc/shadow"


def gets(*rules, support=TRACE):
    loaded = policy(*rules)
    return enforcement(loaded, lower(loaded, CONSTANTS), support)


@pytest.mark.parametrize(
    ("condition", "action", "effect"),
    [
        (OPEN, Action.ALERT, Effect.ALERT),
        (OPEN, Action.FREEZE, Effect.FREEZE),
        (OPEN, Action.KILL, Effect.KILL),
        (OPEN, Action.DENY, Effect.KILL),
        (OPEN + " and user.uid = 0", Action.KILL, Effect.KILL_AFTER),
        ("evt.type = execve and proc.name = sudo", Action.DENY, Effect.KILL),
        ("evt.type = unlink and guard.path = /x", Action.KILL, Effect.KILL_AFTER),
        ("evt.type = unlink and guard.path = /x", Action.DENY, Effect.KILL_AFTER),
        ("evt.type = connect and fd.sip = 1.2.3.4", Action.DENY, Effect.DENY),
        ("evt.type = connect and fd.sip = 1.2.3.4", Action.KILL, Effect.KILL),
        ("evt.type in (connect, sendto, sendmsg) and fd.sport = 53", Action.DENY, Effect.DENY),
        ("evt.type = connect and fd.typechar in (4, 6)", Action.DENY, Effect.DENY),
        ("evt.type = connect and fd.sip != 1.2.3.4", Action.DENY, Effect.DENY),
        ("evt.type = connect", Action.DENY, Effect.KILL),
        ("evt.type = connect and guard.path = /run/x.sock", Action.DENY, Effect.KILL),
        ("evt.type = sendto and proc.name = nc", Action.DENY, Effect.KILL_AFTER),
        ("evt.type = open and evt.num = 0", Action.DENY, Effect.DENY),
    ],
)
def test_effect_in_tier_trace(condition, action, effect):
    (found,) = gets((condition, action))

    assert found.effect is effect
    assert bool(found.reason) == found.falls_short


def test_the_weakest_kind_counts():
    (found,) = gets(("evt.type in (open, unlink) and guard.path = /x", Action.DENY))

    assert [(kind.kind, kind.effect) for kind in found.kinds] == [
        ("file_open", Effect.KILL),
        ("file_unlink", Effect.KILL_AFTER),
    ]
    assert found.effect is Effect.KILL_AFTER


def test_the_reason_names_the_clause_that_user_space_decides():
    (found,) = gets((f"{OPEN} and fd.name contains x", Action.KILL))

    assert "`fd.name contains x`" in found.reason


def test_without_kernel_programs_there_are_only_alerts():
    (found,) = gets((OPEN, Action.KILL), support=NONE)

    assert found.effect is Effect.ALERT
    assert found.falls_short


def test_require_block_accepts_denials_and_kills_that_are_what_they_say():
    require_block(
        gets(("evt.type = connect and fd.sip = 1.2.3.4", Action.DENY), (OPEN, Action.KILL))
    )


def test_require_block_names_the_rule_that_falls_short():
    with pytest.raises(UnsupportedError, match="`rule 1`, `rule 2`, `rule 3` and 2 more"):
        require_block(gets((OPEN, Action.ALERT), *[(OPEN, Action.DENY)] * 5))

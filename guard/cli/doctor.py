"""`guard doctor`: what this machine can do."""
# ruff: noqa: FBT002, PLC0415  options are parameters; a command loads what it needs

from __future__ import annotations

import dataclasses
import json as json_format
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from guard.enforce.support import Support

_DEGRADED = 1
_CANNOT_RUN = 2


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Try what guard needs on this machine, and say what is missing and what to do.

    Exit code 0: all there. 1: guard runs, with less. 2: guard cannot run.
    """
    from guard.enforce.support import TIER_NONE, probe_support
    from guard.session.loading import OBJECT
    from guard.session.syscalls import landlock_abi

    support = probe_support(OBJECT, landlock_abi=landlock_abi)
    typer.echo(_as_json(support) if json else _as_text(support))
    if support.tier == TIER_NONE:
        sys.exit(_CANNOT_RUN)
    if not all(each.ok for each in support.capabilities):
        sys.exit(_DEGRADED)


def _as_json(support: Support) -> str:
    found = [
        {**dataclasses.asdict(each), "required": each.is_required} for each in support.capabilities
    ]
    return json_format.dumps(
        {"schema": "guard/doctor/v1", "tier": support.tier, "capabilities": found}, indent=2
    )


def _as_text(support: Support) -> str:
    lines = []
    for each in support.capabilities:
        lines.append(f"{'ok' if each.ok else 'missing':<8} {each.name:<19}{each.detail}".rstrip())
        if each.remedy:
            lines.append(f"{'':<9}{'':<19}{each.remedy}")
    return "\n".join([*lines, "", f"tier: {support.tier}"])

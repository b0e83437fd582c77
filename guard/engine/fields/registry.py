"""Every field by its name."""

from __future__ import annotations

from functools import cache

from guard.engine.fields import event, fd, path, process, session, user
from guard.engine.fields.definition import FieldDef, FieldType, unavailable

FIELDS: dict[str, FieldDef] = {
    definition.name: definition
    for module in (event, process, user, fd, path, session)
    for definition in module.FIELDS
}

# Falco's fields that guard does not have: the message should not call them misspelt.
FALCO_ONLY = frozenset(
    "evt.around evt.asynctype evt.count.error evt.count.error.file evt.count.error.memory "
    "evt.count.error.net evt.count.error.other evt.count.exit evt.deltatime evt.deltatime.ns "
    "evt.deltatime.s evt.is_syslog evt.latency evt.latency.human evt.latency.ns evt.latency.s "
    "evt.outputtime evt.plugininfo evt.pluginname evt.reltime.ns evt.reltime.s evt.type.is "
    "evt.wait_latency fdlist.cips fdlist.cports fdlist.names fdlist.nums fdlist.sips "
    "fdlist.sports proc.fdlimit proc.fdopencount proc.fdusage proc.vmrss proc.vmsize proc.vmswap "
    "thread.cpu thread.cpu.system thread.cpu.user thread.exectime thread.pfmajor thread.pfminor "
    "thread.totexectime thread.vmrss thread.vmsize".split()
)


def lookup(name: str) -> FieldDef | None:
    """The field called `name`, None when there is none.

    `evt.arg.NAME`, `evt.rawarg.NAME` and `thread.cgroup.NAME` are fields too.
    """
    # The parser's words are of a subclass of str, which a cache keeps apart.
    return FIELDS.get(name) or _member_of_family(str(name))


def all_names() -> list[str]:
    """Names to suggest from, the parameters of calls included."""
    return [*FIELDS, *(f"evt.arg.{name}" for name in sorted(event.parameter_names()))]


@cache
def _member_of_family(name: str) -> FieldDef | None:
    family, _, rest = name.rpartition(".")
    if family == "evt.arg" and rest in event.parameter_names():
        return event.parameter_text_field(rest)
    if family == "evt.rawarg" and rest in event.parameter_names():
        return event.parameter_raw_field(rest)
    if name.startswith("thread.cgroup.") and rest:
        return unavailable(name, FieldType.TEXT, "cgroups are not recorded")
    return None

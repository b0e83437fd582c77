"""guard.*, agent.*, container.* and k8s.*: the session around the event."""

from __future__ import annotations

from operator import attrgetter

from guard.engine.fields.definition import (
    Argument,
    Context,
    FieldDef,
    FieldType,
    Flag,
    field,
    unavailable,
)
from guard.event import Process, ProcessPtrace, ProcessVmWrite

_LINEAGE = 6  # names shown
VERDICT_NAMES = ("none", "denied", "killed")


def _constant(name: str, attribute: str, doc: str) -> FieldDef:
    get = attrgetter(f"constants.{attribute}")

    def value(context: Context) -> str | None:
        return get(context) or None

    return field(name, FieldType.TEXT, doc, value, flags=frozenset({Flag.CONSTANT}))


def _target_guarded(context: Context) -> bool | None:
    event = context.event
    if isinstance(event, ProcessPtrace | ProcessVmWrite):
        return event.target_guarded != 0
    return None


def _verdict(context: Context) -> str:
    return VERDICT_NAMES[context.event.verdict]


def _lineage(context: Context) -> str:
    """At most the first and the last of them: a deep recursion must fit into a line."""
    names: list[str] = []
    process: Process | None = context.process
    while process is not None and process.guarded:
        names.append(process.name)
        process = process.parent
    names.reverse()
    if len(names) > _LINEAGE:
        names = [names[0], "…", *names[2 - _LINEAGE :]]
    return " > ".join(names)


def _none(names: str, type: FieldType = FieldType.TEXT) -> list[FieldDef]:
    doc = "no value: a session is not a container"
    return [unavailable(name, type, doc) for name in names.split()]


FIELDS: list[FieldDef] = [
    _constant("guard.session", "session", "id of the session"),
    _constant("guard.home", "home", "home directory of the session's user"),
    _constant("guard.workspace", "workspace", "directory the agent works in"),
    _constant("agent.name", "agent", "name of the guarded agent"),
    field(
        "guard.target_guarded", FieldType.BOOL,
        "the process that is traced or written to belongs to this session", _target_guarded,
    ),
    field(
        "guard.lineage", FieldType.TEXT,
        "proc.name from the session's command down to this process, the middle left out if long",
        _lineage, cost=10,
    ),
    field(
        "guard.verdict", FieldType.TEXT, "what the kernel did: none, denied or killed", _verdict
    ),
    _constant("container.id", "session", "id of the session, so that it counts as a container"),
    *_none(
        "container.full_id container.name container.image container.image.id container.image.tag "
        "container.image.repository container.image.digest container.image.full container.type "
        "container.ip container.cni.json container.mounts container.healthcheck "
        "container.liveness_probe container.readiness_probe container.labels container.host_pid "
        "container.host_network container.host_ipc container.is_pod_sandbox "
        "container.size_rw_bytes "
        "k8s.ns.name k8s.pod.name k8s.pod.id k8s.pod.uid k8s.pod.full_sandbox_id "
        "k8s.pod.sandbox_id k8s.pod.ip k8s.pod.cni.json k8s.pod.labels k8s.rc.name k8s.svc.name "
        "k8s.ns.id k8s.rs.name k8s.deployment.name",
    ),
    *_none("container.privileged", FieldType.BOOL),
    *_none("container.start_ts container.duration", FieldType.ABSTIME),
    *(
        unavailable(name, FieldType.TEXT, "no value: a session is not a container", argument)
        for name, argument in (
            ("container.mount", Argument.REQUIRED),
            ("container.mount.source", Argument.REQUIRED),
            ("container.mount.dest", Argument.REQUIRED),
            ("container.mount.mode", Argument.REQUIRED),
            ("container.mount.rdwr", Argument.REQUIRED),
            ("container.mount.propagation", Argument.REQUIRED),
            ("container.label", Argument.REQUIRED),
            ("container.image.label", Argument.REQUIRED),
            ("k8s.ns.label", Argument.REQUIRED),
            ("k8s.pod.label", Argument.REQUIRED),
        )
    ),
]  # fmt: skip

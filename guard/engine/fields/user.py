"""user.* and group.*: who runs the process."""

from __future__ import annotations

from operator import attrgetter

from guard.engine.fields.definition import Context, FieldDef, FieldType, field, unavailable


def _home_directory(context: Context) -> str:
    # Known for the one user the session belongs to; Falco writes the rest this way too.
    process = context.process
    return context.constants.home or "<NA>" if process.uid else "/root"


FIELDS: list[FieldDef] = [
    field("user.uid", FieldType.UINT32, "user id", attrgetter("process.uid")),
    field(
        "user.name", FieldType.TEXT, "user name, the text `<NA>` when unknown",
        attrgetter("process.user"),
    ),
    field(
        "user.loginuid", FieldType.INT64, "login uid of the audit system, -1 when unset",
        attrgetter("process.loginuid"),
    ),
    field(
        "user.loginname", FieldType.TEXT, "name of that user, the text `<NA>` when unknown",
        attrgetter("process.login_user"),
    ),
    field(
        "user.homedir", FieldType.TEXT, "home directory of the session's user", _home_directory,
    ),
    unavailable("user.shell", FieldType.TEXT, "login shell of the user"),
    field("group.gid", FieldType.UINT32, "group id", attrgetter("process.gid")),
    field(
        "group.name", FieldType.TEXT, "group name, the text `<NA>` when unknown",
        attrgetter("process.group"),
    ),
]  # fmt: skip

"""fs.path.* and guard.*path: the path a call works on, whatever the call."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from guard.engine.fields.definition import Context, FieldDef, FieldType, Getter, field, memoised
from guard.engine.fields.descriptor import is_done
from guard.event import (
    Event,
    FileChmod,
    FileChown,
    FileLink,
    FileMkdir,
    FileOpen,
    FileRename,
    FileRmdir,
    FileSymlink,
    FileTruncate,
    FileUnlink,
    KernelModule,
    MountChange,
    NetworkAccept,
    NetworkBind,
    NetworkConnect,
    NetworkListen,
    NetworkSend,
    ProcessChdir,
    ProcessExec,
)
from guard.paths import join, relative_to

_PathOf = Callable[[Event], str]

_path: _PathOf = attrgetter("path")
_new_path: _PathOf = attrgetter("new_path")

# The path an operation acts on.
_TARGETS: dict[type[Event], _PathOf] = {
    ProcessExec: _path,
    ProcessChdir: _path,
    FileOpen: _path,
    FileUnlink: _path,
    FileRename: _new_path,
    FileMkdir: _path,
    FileRmdir: _path,
    FileLink: _new_path,
    FileSymlink: _path,
    FileTruncate: _path,
    FileChmod: _path,
    FileChown: _path,
    NetworkConnect: _path,
    NetworkBind: _path,
    NetworkListen: _path,
    NetworkAccept: _path,
    NetworkSend: _path,
    MountChange: _path,
    KernelModule: _path,
}
_SOURCES: dict[type[Event], _PathOf] = {FileRename: _path, FileLink: _path}

# Falco's table, and the two calls added to Linux or left out there that do the same.
_NAME_CALLS = frozenset({
    "open", "openat", "openat2", "creat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat",
    "umount", "umount2", "chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat",
    "fchmod", "fchown",
})  # fmt: skip


def _acting(table: dict[type[Event], _PathOf]) -> Getter:
    def path(context: Context) -> str | None:
        event = context.event
        path_of = table.get(type(event))
        if path_of is None:
            return None
        found = path_of(event)
        # A name in the abstract socket namespace begins with NUL and is no path.
        return found if found and found[0] != "\0" else None

    return path


def _below(path: Getter, root: Callable[[Context], str]) -> Getter:
    def relative(context: Context) -> str | None:
        found = path(context)
        return relative_to(found, root(context)) if isinstance(found, str) else None

    return relative


_home: Callable[[Context], str] = attrgetter("constants.home")
_workspace: Callable[[Context], str] = attrgetter("constants.workspace")

_guard_path = _acting(_TARGETS)
_source_path = _acting(_SOURCES)


def _fs_name(context: Context) -> str | None:
    event = context.event
    return _path(event) if event.call in _NAME_CALLS and is_done(event) else None


def _fs_name_raw(context: Context) -> str | None:
    event = context.event
    if event.call not in _NAME_CALLS or not is_done(event):
        return None
    return getattr(event, "name", None) or _path(event)


def _fs_source(context: Context) -> str | None:
    event = context.event
    if not is_done(event):
        return None
    match event:
        case FileRename():
            return event.path
        case FileLink():
            return event.new_path
        case FileSymlink():
            return event.path
        case MountChange(call="mount"):
            return event.source
    return None


def _fs_source_raw(context: Context) -> str | None:
    event = context.event
    if not is_done(event):
        return None
    match event:
        case FileRename() | FileSymlink():
            return event.name
        case FileLink():
            return event.new_name
        case MountChange(call="mount"):
            return event.source
    return None


def _fs_target(context: Context) -> str | None:
    event = context.event
    if not is_done(event):
        return None
    match event:
        case FileRename():
            return event.new_path
        case FileLink():
            return event.path
        case FileSymlink():
            return join(context.process.cwd, event.target)
        case MountChange(call="mount"):
            return event.path
    return None


def _fs_target_raw(context: Context) -> str | None:
    event = context.event
    if not is_done(event):
        return None
    match event:
        case FileRename():
            return event.new_name
        case FileLink():
            return event.name
        case FileSymlink():
            return event.target
        case MountChange(call="mount"):
            return event.path
    return None


def _text(name: str, doc: str, get: Getter, cost: int) -> FieldDef:
    return field(name, FieldType.TEXT, doc, memoised(name, get) if cost > 3 else get, cost=cost)


FIELDS: list[FieldDef] = [
    _text(
        "guard.path",
        "path the operation acts on: the new one of a rename or link, the executable of an exec",
        _guard_path,
        3,
    ),
    _text(
        "guard.home_path",
        "guard.path seen from the user's home, no value outside of it",
        _below(_guard_path, _home),
        4,
    ),
    _text(
        "guard.workspace_path",
        "guard.path seen from the workspace, no value outside of it",
        _below(_guard_path, _workspace),
        4,
    ),
    _text("guard.source_path", "old path of a rename or link", _source_path, 3),
    _text(
        "guard.source_home_path",
        "guard.source_path seen from the user's home, no value outside of it",
        _below(_source_path, _home),
        4,
    ),
    _text(
        "guard.source_workspace_path",
        "guard.source_path seen from the workspace, no value outside of it",
        _below(_source_path, _workspace),
        4,
    ),
    _text("fs.path.name", "absolute path a successful call worked on", _fs_name, 3),
    _text("fs.path.nameraw", "the same as passed by the caller", _fs_name_raw, 3),
    _text("fs.path.source", "what a rename moved, a link or mount made visible", _fs_source, 3),
    _text("fs.path.sourceraw", "the same as passed by the caller", _fs_source_raw, 3),
    _text("fs.path.target", "where it went to or what a link points to", _fs_target, 3),
    _text("fs.path.targetraw", "the same as passed by the caller", _fs_target_raw, 3),
]

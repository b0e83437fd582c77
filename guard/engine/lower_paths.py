"""Comparisons of paths and file names as kernel predicates.

A value of a rule is compared with a *view* of a path: all of it (absolute, or
as seen from a directory), the directory it is in, or its last name. What comes
out means the same as the comparison of the text, as far as the text is the
file's resolved path.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable
from functools import lru_cache

from guard.data import dataclass
from guard.engine.kernel_plan import (
    COMM_MAX,
    NAME_MAX,
    PREFIX_MAX,
    Name,
    NameMatch,
    Place,
    Scope,
    Subject,
)
from guard.engine.lower_formula import (
    FALSE,
    TRUE,
    Formula,
    all_of,
    any_of,
    holds,
    negate,
    unknown,
)
from guard.paths import normalise

_WILDCARD = re.compile(r"[*?\[\\]")
# What these names lead to differs from process to process.
_OWN = re.compile(r"/proc/(self|thread-self|mounts|net)(/|$)|/dev/(fd|stdin|stdout|stderr)(/|$)")

NOT_IN_KERNEL = "the kernel compares paths by place and name only, not with `{}`"
WILDCARD = "the kernel matches a wildcard only in front of or behind a file name"
_MAYBE_NOTHING = "the kernel cannot tell whether there is a value"
INNER_NAMES = "the kernel knows the last name of a path, not the names before it"


class View(enum.Enum):
    PATH = "path"
    FOLDER = "folder"
    NAME = "name"
    PROGRAM = "program"  # the name of a process, as set by exec


class Presence(enum.Enum):
    """Whether there is a path to look at. The kernel itself cannot tell."""

    ALWAYS = "always"
    SOMETIMES = "sometimes"  # or no value
    OR_TEXT = "or-text"  # or text that is not an absolute path


@dataclass(frozen=True, slots=True)
class PathView:
    """What of a path is compared. `root` "" is for absolute paths, else they are below it."""

    view: View
    subject: Subject = Subject.OPERATION
    root: str = ""
    presence: Presence = Presence.ALWAYS

    def place(self, path: str, scope: Scope, *, is_prefix: bool = False) -> Formula:
        return holds(self.subject, (Place(path, scope, is_prefix),))

    def named(self, text: str, match: NameMatch) -> Formula:
        return holds(self.subject, (Name(text, match),))


# The same comparison is lowered for every kind of event, and macros repeat it.
@lru_cache(maxsize=2048)
def lower_path(view: PathView, operator: str, values: tuple[str, ...], text: str) -> Formula:
    """`view operator values`; `text` is the comparison as written, for messages."""
    if view.presence is not Presence.ALWAYS and not view.root and operator in {"!=", "exists"}:
        return unknown(text, _MAYBE_NOTHING)
    if view.presence is Presence.OR_TEXT and not (
        operator in {"=", "in", "intersects", "startswith", "pmatch"}
        and all(value.startswith("/") for value in values)
    ):
        return unknown(text, "the kernel sees only paths here")
    if operator == "exists":
        return _exists(view)
    if operator == "!=":
        return all_of(_exists(view), negate(_compare(view, "=", values[0], text)))
    compared = "=" if operator in {"in", "intersects"} else operator
    found = any_of(*(_compare(view, compared, value, text) for value in values))
    if found == TRUE and view.presence is not Presence.ALWAYS:
        return unknown(text, _MAYBE_NOTHING)
    return found


def _exists(view: PathView) -> Formula:
    return view.place(view.root, Scope.TREE) if view.root else TRUE


def _compare(view: PathView, operator: str, value: str, text: str) -> Formula:
    compare = _COMPARISONS.get((view.view, operator))
    if compare is None:
        return unknown(text, NOT_IN_KERNEL.format(operator), implies=_exists(view))
    if any(len(os.fsencode(part)) > NAME_MAX for part in value.split("/")):
        return unknown(text, f"no file name is longer than {NAME_MAX} bytes")
    if _OWN.match(value):
        return unknown(text, "the path means another file for every process")
    return compare(view, value, text)


def _is_normal(path: str) -> bool:
    return path.startswith("/") and normalise(path) == path


def _absolute(view: PathView, value: str) -> str | None:
    """The path that `value` stands for in `view`, None when no path reads so."""
    if not view.root:
        return value if _is_normal(value) else None
    if not value:
        return view.root
    path = f"{view.root.rstrip('/')}/{value}"
    return path if _is_normal(path) else None


def _path_equals(view: PathView, value: str, _: str) -> Formula:
    path = _absolute(view, value)
    return FALSE if path is None else view.place(path, Scope.SELF)


def _path_starts(view: PathView, value: str, text: str) -> Formula:
    if not value:
        return _exists(view)
    if view.root and value.startswith("/"):
        return FALSE
    return _starts(
        view, f"{view.root.rstrip('/')}/{value}" if view.root else value, text, Scope.SELF
    )


def _folder_starts(view: PathView, value: str, text: str) -> Formula:
    return _starts(view, value, text, Scope(0)) if value else TRUE


def _starts(view: PathView, value: str, text: str, itself: Scope) -> Formula:
    """The path starts with `value`; without `itself`, the folder it is in does."""
    if value == "/":
        return view.place("/", Scope.TREE)
    folder, _, name = value.rpartition("/")
    folder = folder or "/"
    if not value.startswith("/") or not _is_normal(folder):
        return FALSE
    if not name:
        return view.place(folder, Scope.INSIDE if itself else Scope.BELOW)
    if len(os.fsencode(name)) > PREFIX_MAX:
        return unknown(
            text,
            f"the kernel compares at most {PREFIX_MAX} bytes of the start of a name",
            implies=view.place(folder, Scope.INSIDE),
        )
    return view.place(value, Scope.INSIDE | itself, is_prefix=True)


def _path_below(view: PathView, value: str, text: str) -> Formula:
    return _below(view, value, text, Scope.TREE)


def _folder_below(view: PathView, value: str, text: str) -> Formula:
    return _below(view, value, text, Scope.INSIDE)


def _below(view: PathView, value: str, text: str, scope: Scope) -> Formula:
    """`pmatch`: the components of `value` are the first ones of the path."""
    parts = [part for part in value.split("/") if part]
    if not view.root and not value.startswith("/") and parts and _WILDCARD.search(parts[0]):
        # A star stands for the nothing before the first slash, too.
        return unknown(text, WILDCARD)
    if value.startswith("/") == bool(view.root) or any(part in {".", ".."} for part in parts):
        return FALSE
    if not parts and view.root:
        return view.place(view.root, Scope.SELF)
    fixed = next((i for i, part in enumerate(parts) if _WILDCARD.search(part)), len(parts))
    path = "/".join((view.root.rstrip("/"), *parts[:fixed])) or "/"
    if fixed < len(parts):
        implied = Scope.INSIDE if scope is Scope.TREE else scope
        return unknown(text, WILDCARD, implies=view.place(path, implied))
    return view.place(path, Scope.TREE if path == "/" else scope)


def _path_ends(view: PathView, value: str, text: str) -> Formula:
    if not value:
        return _exists(view)
    folders, slash, name = value.rpartition("/")
    if not name:
        return view.place("/", Scope.SELF) if value == "/" and not view.root else FALSE
    if not slash:
        # The root of the view reads "" there, whatever its own name ends in.
        inside = view.place(view.root, Scope.INSIDE) if view.root else TRUE
        return all_of(inside, view.named(name, NameMatch.SUFFIX))
    deeper = view.place(view.root, Scope.BELOW) if view.root else TRUE
    found = all_of(deeper, view.named(name, NameMatch.EXACT))
    return unknown(text, INNER_NAMES, implies=found) if folders else found


def _path_globs(view: PathView, value: str, text: str) -> Formula:
    value = re.sub(r"\*+", "*", value)
    special = _WILDCARD.search(value)
    if special is None:
        return _path_equals(view, value, text)
    front, back = value[: special.start()], value[value.rfind("*") + 1 :]
    if re.search(r"[?\[\\]", value):
        return unknown(text, WILDCARD, implies=_path_starts(view, front, text))
    if not front:
        whole = value.count("*") == 1
        ends = _path_ends(view, back, text)
        return ends if whole else unknown(text, WILDCARD, implies=ends)
    if not back and value.count("*") == 1:
        return _path_starts(view, front, text)
    both = all_of(_path_starts(view, front, text), _path_ends(view, back, text))
    if value.count("*") > 1 or not front.endswith("/"):
        return unknown(text, WILDCARD, implies=both)
    if back.startswith("/"):
        # `/a/*/b`: the slash before b is not the one behind a.
        folder = _absolute(view, front.rstrip("/") or ("/" if not view.root else ""))
        if folder is None:
            return FALSE
        return all_of(view.place(folder, Scope.BELOW), _path_ends(view, back, text))
    return both


def _folder_equals(view: PathView, value: str, _: str) -> Formula:
    # The root is in no folder but itself.
    scope = Scope.CHILD | Scope.SELF if value == "/" else Scope.CHILD
    return view.place(value, scope) if _is_normal(value) else FALSE


def _name_equals(view: PathView, value: str, _: str) -> Formula:
    return view.named(value, NameMatch.EXACT) if value and "/" not in value else FALSE


def _name_ends(view: PathView, value: str, _: str) -> Formula:
    if not value:
        return TRUE
    return FALSE if "/" in value else view.named(value, NameMatch.SUFFIX)


def _name_globs(view: PathView, value: str, text: str) -> Formula:
    value = re.sub(r"\*+", "*", value)
    rest = value.removeprefix("*")
    if _WILDCARD.search(rest):
        return unknown(text, WILDCARD)
    return _name_equals(view, value, text) if rest == value else _name_ends(view, rest, text)


def _program_equals(view: PathView, value: str, _: str) -> Formula:
    if not value or len(os.fsencode(value)) > COMM_MAX:
        return FALSE
    return view.named(value, NameMatch.PROGRAM)


_COMPARISONS: dict[tuple[View, str], Callable[[PathView, str, str], Formula]] = {
    (View.PATH, "="): _path_equals,
    (View.PATH, "startswith"): _path_starts,
    (View.PATH, "endswith"): _path_ends,
    (View.PATH, "pmatch"): _path_below,
    (View.PATH, "glob"): _path_globs,
    (View.FOLDER, "="): _folder_equals,
    (View.FOLDER, "startswith"): _folder_starts,
    (View.FOLDER, "pmatch"): _folder_below,
    (View.NAME, "="): _name_equals,
    (View.NAME, "endswith"): _name_ends,
    (View.NAME, "glob"): _name_globs,
    (View.PROGRAM, "="): _program_equals,
}

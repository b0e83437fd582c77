"""A policy as a session needs it, made from rule files once and then kept.

Reading rules takes longer than everything else at the start. What comes of it
depends on the texts, on guard itself and on a few constants, so it is cached
under exactly these. What depends on this machine's files as they are now is
never taken from there without a look: symlinks in the paths of a policy are
followed again, and inodes are always learned anew.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import guard
from guard.bpf.layout import Layout
from guard.data import dataclass, replace
from guard.enforce import kernel
from guard.enforce.plan import Enforcement, enforcement
from guard.enforce.support import assumed_support
from guard.enforce.tags import PathTree, Spelled, spell, tree_of
from guard.engine.constants import Constants
from guard.engine.kernel_plan import KernelPlan
from guard.engine.source import Source
from guard.session.cache import Cache

if TYPE_CHECKING:
    from guard.engine import ir

# Fields with the session's id as value: a policy that names one is another in every session.
SESSION_FIELDS = ("guard.session", "container.id")
_ENVIRONMENT_FIELDS = ("proc.env", "proc.aenv")


@dataclass(frozen=True, slots=True)
class ReadyPolicy:
    """A loaded policy; `tree` and `first` belong to the file tree as `spelled` found it."""

    revision: str
    warnings: int
    enforcements: tuple[Enforcement, ...]
    needs_environment: bool  # some rule reads environment variables
    plan: KernelPlan
    spelled: Sequence[Spelled]
    tree: PathTree
    first: kernel.Blocks
    packed_rules: bytes  # unpacked only when an event may match one

    def rules(self) -> ir.Policy:
        """The rules themselves."""
        found: ir.Policy = _unpack(self.packed_rules)
        return found


def ready(
    sources: Sequence[Source], constants: Constants, layout: Layout, store: Cache
) -> ReadyPolicy:
    """The policy of rule files, from the cache if it has it.

    Raises `PolicyError` when the rules have errors, or name places that cannot be followed.
    """
    if any(name in source.text for source in sources for name in SESSION_FIELDS):
        return _make(sources, constants, layout)
    key = _key(sources, constants)
    found = _unpacked(store.load(key))
    if found is None:
        found = _make(sources, constants, layout)
    else:
        spelled = spell(found.plan.predicates)
        if spelled == found.spelled:
            return found
        found = _placed(found, spelled, layout)
    store.store(key, pickle.dumps(found, pickle.HIGHEST_PROTOCOL))
    return found


def _make(sources: Sequence[Source], constants: Constants, layout: Layout) -> ReadyPolicy:
    from guard.session import policy  # noqa: PLC0415  most sessions start without

    loaded = policy.load(sources, constants)
    rules, plan = policy.require(loaded)
    spelled = spell(plan.predicates)
    tree = tree_of(spelled)
    return ReadyPolicy(
        revision=rules.revision,
        warnings=len(loaded.diagnostics),
        enforcements=enforcement(rules, plan, assumed_support()),
        needs_environment=_needs_environment(rules),
        plan=replace(plan, rules=(), diagnostics=()),
        spelled=spelled,
        tree=tree,
        first=kernel.encode_first(plan, layout, tree),
        packed_rules=_pack(rules),
    )


def _placed(found: ReadyPolicy, spelled: Sequence[Spelled], layout: Layout) -> ReadyPolicy:
    """The same policy where other places are symlinks than before."""
    tree = tree_of(spelled)
    first = kernel.encode_first(found.plan, layout, tree)
    return replace(found, spelled=spelled, tree=tree, first=first)


def _key(sources: Sequence[Source], constants: Constants) -> bytes:
    texts = [(source.name, source.text) for source in sources]
    known = (constants.home, constants.workspace, constants.agent)
    return repr((sys.version, _installation(), known, texts)).encode()


@cache
def _installation() -> list[tuple[str, int, int, int, int]]:
    """What changes whenever a file of guard's does: an upgrade, or an edit in a source tree."""
    found = []
    folders = [guard.__path__[0]]
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "__pycache__":
                        folders.append(entry.path)
                elif entry.name.endswith((".py", ".lark", ".o")):
                    status = entry.stat()
                    found.append((
                        entry.path, status.st_ino, status.st_size,
                        status.st_mtime_ns, status.st_ctime_ns,
                    ))  # fmt: skip
    return sorted(found)


def _unpacked(data: bytes | None) -> ReadyPolicy | None:
    if data is None:
        return None
    try:
        found = pickle.loads(data)  # noqa: S301  the cache gives only what root wrote
    except Exception:  # noqa: BLE001  whatever an entry of that kind may raise: it is made again
        return None
    return found if isinstance(found, ReadyPolicy) else None


def _pack(rules: ir.Policy) -> bytes:
    from guard.engine.fields import FieldDef  # noqa: PLC0415  see _make

    class Pickler(pickle.Pickler):
        # Fields hold functions and are compared by identity: only their names are kept.
        def persistent_id(self, item: object) -> str | None:
            return item.name if isinstance(item, FieldDef) else None

    stream = io.BytesIO()
    Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(rules)
    return stream.getvalue()


def _unpack(data: bytes) -> Any:  # whatever was packed
    from guard.engine.fields import lookup  # noqa: PLC0415  see _make

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, name: Any) -> object:
            return lookup(name)

    return Unpickler(io.BytesIO(data)).load()


def _needs_environment(rules: ir.Policy) -> bool:
    return any(
        name in text
        for rule in rules.rules
        for text in (rule.output, *_texts(rule.condition))
        for name in _ENVIRONMENT_FIELDS
    )


def _texts(condition: ir.Expr) -> list[str]:
    text = getattr(condition, "text", "")
    children = getattr(condition, "children", ()) or (getattr(condition, "child", None),)
    return [text, *(text for child in children if child is not None for text in _texts(child))]

"""Rule files to items.

YAML is composed to nodes, never constructed: every scalar stays the text that
was written, and keys decide what it means. The tables of keys are in `_RULE_KEYS`
and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from guard.alert import Action, Priority
from guard.engine import nodes
from guard.engine.diagnostics import Code, Diagnostic, Severity, did_you_mean
from guard.engine.items import Item, ListItem, MacroItem, Operation, RuleItem
from guard.engine.nodes import Mapping, Reader
from guard.engine.rule_exceptions import read_exceptions
from guard.engine.source import Location, Source
from guard.engine.versions import check_engine_version, check_plugin_versions

_ITEM_KINDS = ("required_engine_version", "required_plugin_versions", "list", "macro", "rule")
_LIST_KEYS = ("list", "items", "append", "override")
_MACRO_KEYS = ("macro", "condition", "append", "override")
_RULE_KEYS = (
    "rule",
    "condition",
    "output",
    "desc",
    "priority",
    "action",
    "remedy",
    "source",
    "enabled",
    "tags",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "capture",
    "capture_duration",
    "exceptions",
    "override",
    "append",
)
_REQUIRED_RULE_KEYS = ("condition", "output", "desc", "priority")
_BOTH = (Operation.APPEND, Operation.REPLACE)
_REPLACE = (Operation.REPLACE,)
_LIST_OVERRIDES = {"items": _BOTH}
_MACRO_OVERRIDES = {"condition": _BOTH}
_RULE_OVERRIDES = {
    "condition": _BOTH,
    "output": _BOTH,
    "desc": _BOTH,
    "tags": _BOTH,
    "exceptions": _BOTH,
    "priority": _REPLACE,
    "action": _REPLACE,
    "remedy": _REPLACE,
    "capture": _REPLACE,
    "capture_duration": _REPLACE,
    "enabled": _REPLACE,
    "warn_evttypes": _REPLACE,
    "skip-if-unknown-filter": _REPLACE,
}
_APPENDED_RULE_KEYS = ("rule", "append", "condition", "exceptions", "source")

"""Rule files to items. What files may hold is in tests/corpus/files."""

from __future__ import annotations

import pytest

from guard.alert import Action, Priority
from guard.engine import documents
from guard.engine.documents import read_items
from guard.engine.items import ListItem, MacroItem, Operation, RuleItem
from guard.engine.source import Source

_FILE = """\
- list: shells
  items: [bash, "z sh"]
- macro: open_read
  condition: evt.type = open
  override:
    condition: append
- rule: r
  desc: d
  condition: open_read
  output: o
  priority: error
  action: freeze
"""


def test_items_keep_texts_and_places():
    """An item is what was written, with the place of every part."""
    items, diagnostics = read_items(Source("a.yaml", _FILE))
    assert diagnostics == ()
    shells, macro, rule = items
    assert isinstance(shells, ListItem)
    assert isinstance(macro, MacroItem)
    assert isinstance(rule, RuleItem)
    assert ["bash", "z sh"] == [item.text for item in shells.items]
    assert ["a.yaml:2:11", "a.yaml:2:18"] == [str(item.locate()) for item in shells.items]
    assert macro.override == {"condition": Operation.APPEND}
    assert not macro.is_definition
    assert (rule.priority, rule.action) == (Priority.ERROR, Action.FREEZE)
    assert str(rule.location) == "a.yaml:7:9"
    assert rule.tags is None


@pytest.mark.parametrize("brackets", ["[", "- ", "{a: ", "? "])
def test_deep_yaml_is_refused(brackets):
    """libyaml's composer would overflow the C stack and take the process with it."""
    _, diagnostics = read_items(Source("a.yaml", brackets * 200_000))
    assert [diagnostic.code.text for diagnostic in diagnostics] == ["yaml-syntax"]


def test_aliases_do_not_multiply():
    """A bomb of aliases is read in no time: nodes are shared."""
    lines = ["- list: l0\n  items: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 30):
        inner = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"- list: l{level}\n  items: &a{level} [{inner}]")
    items, diagnostics = read_items(Source("a.yaml", "\n".join(lines)))
    assert len(items) == 30
    assert len(diagnostics) == 29 * 9


def test_every_override_key_is_a_key():
    """The tables of keys agree with each other."""
    assert documents._RULE_OVERRIDES.keys() < set(documents._RULE_KEYS)
    assert documents._MACRO_OVERRIDES.keys() < set(documents._MACRO_KEYS)
    assert documents._LIST_OVERRIDES.keys() < set(documents._LIST_KEYS)


def test_pure_python_loader_gives_the_same(monkeypatch):
    """Where PyYAML was built without libyaml nothing changes but the speed."""
    import yaml

    from guard.engine import nodes

    fast = read_items(Source("a.yaml", _FILE))[0]
    monkeypatch.setattr(nodes, "_Loader", yaml.SafeLoader)
    slow = read_items(Source("a.yaml", _FILE))[0]
    assert [str(item.location) for item in fast] == [str(item.location) for item in slow]
    assert [item.name for item in fast] == [item.name for item in slow]

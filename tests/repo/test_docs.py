"""Prose about the tree is true: paths exist, commands are the Makefile's."""

import re
from pathlib import Path

import pytest

from guard.engine.constants import Constants
from guard.engine.diagnostics import render
from guard.engine.loader import load
from guard.engine.source import Source

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "tests").rglob("*.md"),
        *(ROOT / "bench").rglob("*.md"),
    ]
)
TOP = ("guard", "tests", "docs", "examples", "bench", "tools", ".ci")


def ident(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ident)
def test_paths_in_prose_exist(page):
    """A back-ticked path below one of the tree's folders; KIND and NAME stand for anything."""
    quoted = re.findall(r"`([\w./*-]+)`", page.read_text())
    paths = [text for text in quoted if text.split("/")[0] in TOP and "/" in text]
    missing = [
        path
        for path in paths
        if not any(ROOT.glob(re.sub(r"KIND|NAME|NNNN", "*", path.rstrip("/"))))
    ]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ident)
def test_links_between_pages_exist(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ident)
def test_make_commands_are_the_makefile_s(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^(?:\$ )?make ([a-z-]+)", page.read_text(), re.MULTILINE))
    named |= set(re.findall(r"`make ([a-z-]+)", page.read_text()))

    assert named <= targets


RULES = [
    (page, block)
    for page in PAGES
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("page", "block"), RULES, ids=[ident(page) for page, _ in RULES])
def test_rules_in_prose_load_after_the_default_policy(page, block):
    default = ROOT / "guard" / "policies" / "default.yaml"
    sources = [Source(default.name, default.read_text()), Source(page.name, block)]
    constants = Constants(home="/home/ann", workspace="/home/ann/project", session="1", agent="sh")

    result = load(sources, constants)

    assert result.policy is not None, render(result.diagnostics)


def test_every_page_of_docs_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [
        str(page.relative_to(ROOT / "docs")) for page in PAGES if ROOT / "docs" in page.parents
    ]

    assert [page for page in pages if page != "README.md" and f"({page})" not in index] == []


def test_ci_runs_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text()
    script = (ROOT / ".ci" / "run").read_text().splitlines()

    assert "\nmake test\n" in readme
    assert script[-1] == "make test"

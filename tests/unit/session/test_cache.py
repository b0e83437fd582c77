"""Cache: gives back what was stored, and nothing that somebody else could have written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guard.session import cache
from guard.session.cache import Cache, default_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entry(folder: Path) -> Path:
    [found] = folder.iterdir()
    return found


def stored(folder: Path) -> Cache:
    store = Cache(folder)
    store.store(b"key", b"value")
    assert store.load(b"key") == b"value"
    return store


def test_a_value_comes_back_under_its_key_only(folder: Path):
    store = stored(folder)
    store.store(b"other", b"")
    assert (store.load(b"key"), store.load(b"other"), store.load(b"ke")) == (b"value", b"", None)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_keys_of_one_file_name_are_told_apart(folder: Path, monkeypatch):
    monkeypatch.setattr(cache, "_name", lambda _key: "same")
    store = stored(folder)
    assert store.load(b"other") is None
    store.store(b"other", b"2")
    assert (store.load(b"key"), store.load(b"other")) == (None, b"2")


@pytest.mark.parametrize("cut", [0, 5, 20, -1])
def test_a_damaged_entry_is_not_there(folder: Path, cut: int):
    store = stored(folder)
    path = entry(folder)
    path.write_bytes(path.read_bytes()[:cut])
    assert store.load(b"key") is None
    path.write_bytes(b"\xff" * 100)
    assert store.load(b"key") is None


def test_a_changed_byte_is_noticed(folder: Path):
    store = stored(folder)
    path = entry(folder)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert store.load(b"key") is None


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_what_others_can_write_is_not_read(folder: Path, mode: int):
    store = stored(folder)
    entry(folder).chmod(mode)
    assert store.load(b"key") is None
    store.store(b"key", b"again")
    assert store.load(b"key") == b"again"
    folder.chmod(mode | 0o100)
    assert store.load(b"key") is None
    store.store(b"key", b"third")
    folder.chmod(0o700)
    assert store.load(b"key") == b"again"


def test_what_belongs_to_others_is_not_read(folder: Path, monkeypatch):
    store = stored(folder)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert store.load(b"key") is None


def test_links_are_not_followed(folder: Path, tmp_path: Path):
    store = stored(folder)
    path = entry(folder)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert store.load(b"key") is None
    path.unlink()
    path.hardlink_to(tmp_path / "elsewhere")
    assert store.load(b"key") is None
    folder.rename(tmp_path / "real")
    folder.symlink_to(tmp_path / "real")
    assert store.load(b"key") is None


def test_a_pipe_does_not_block(folder: Path):
    store = stored(folder)
    path = entry(folder)
    path.unlink()
    os.mkfifo(path, 0o600)
    assert store.load(b"key") is None


def test_the_number_of_entries_is_bounded(folder: Path, monkeypatch):
    """The one unused for longest goes first; one that was read counts as used."""
    monkeypatch.setattr(cache, "_MAX_ENTRIES", 3)
    store = Cache(folder)
    for number, key in enumerate((b"a", b"b", b"c")):
        store.store(key, b"")
        os.utime(folder / cache._name(key), (number, number))
    assert store.load(b"a") == b""
    store.store(b"d", b"")
    assert {key for key in (b"a", b"b", b"c", b"d") if store.load(key) is not None} == {
        b"a", b"c", b"d",
    }  # fmt: skip


def test_a_folder_that_cannot_be_is_no_error(tmp_path: Path):
    (tmp_path / "file").touch()
    store = Cache(tmp_path / "file" / "cache")
    store.store(b"key", b"value")
    assert store.load(b"key") is None


def test_where_it_is():
    """Under sudo the caller's own variable does not count: the command could write there."""
    assert default_folder({}) == Path("/var/cache/guard")
    assert default_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/guard")
    assert default_folder({"XDG_CACHE_HOME": "/x", "SUDO_UID": "1"}) == Path("/var/cache/guard")
    assert default_folder({"GUARD_CACHE_DIR": "/y", "SUDO_UID": "1"}) == Path("/y")

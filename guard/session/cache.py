"""A folder of values that are slow to make, for root alone.

What is read from it may be unpickled, which runs whatever it says. So nothing
is read unless the folder and the file belong to this user and nobody else can
write to them. A missing, foreign or damaged entry is no error: it is made again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

_MAX_ENTRIES = 32
_MAGIC = b"guardC01"
_HEAD = struct.Struct("<8sIII")  # magic, bytes of key, bytes of value, crc of both
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_TEMPORARY = ".new"


def default_folder(environ: Mapping[str, str]) -> Path:
    """Where the cache is kept when the environment does not say otherwise.

    Under sudo the caller's XDG_CACHE_HOME is not used: the guarded command could
    write there.
    """
    if environ.get("GUARD_CACHE_DIR"):
        return Path(environ["GUARD_CACHE_DIR"])
    base = "" if "SUDO_UID" in environ else environ.get("XDG_CACHE_HOME", "")
    return Path(base or "/var/cache") / "guard"


class Cache:
    """Values by key, both any bytes. No function raises `OSError`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder

    def load(self, key: bytes) -> bytes | None:
        """The value stored under exactly this key, None when it is not there or not safe."""
        with contextlib.suppress(OSError), self._folder() as folder:
            data = _read(_name(key), folder)
            if len(data) < _HEAD.size:
                return None
            magic, key_bytes, value_bytes, checksum = _HEAD.unpack_from(data)
            content = memoryview(data)[_HEAD.size :]
            if (
                magic == _MAGIC
                and len(content) == key_bytes + value_bytes
                and content[:key_bytes] == key
                and zlib.crc32(content) == checksum
            ):
                return bytes(content[key_bytes:])
        return None

    def store(self, key: bytes, value: bytes) -> None:
        """Keep the value if that is possible; the entries unused for longest make room."""
        content = key + value
        head = _HEAD.pack(_MAGIC, len(key), len(value), zlib.crc32(content))
        with contextlib.suppress(OSError):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._folder() as folder:
                _make_room(folder)
                _write(_name(key), head + content, folder)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[int]:
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _check(os.fstat(folder))
            yield folder
        finally:
            os.close(folder)


def _name(key: bytes) -> str:
    # Entries of one name replace each other; the whole key stands in the file.
    return f"{zlib.crc32(key):08x}"


def _read(name: str, folder: int) -> bytes:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    with open(file, "rb", buffering=0) as stream:
        status = os.fstat(file)
        _check(status)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise PermissionError
        with contextlib.suppress(OSError):
            os.utime(file)
        return stream.readall() or b""


def _write(name: str, data: bytes, folder: int) -> None:
    temporary = f"{name}.{os.getpid()}{_TEMPORARY}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o600, dir_fd=folder), "wb", buffering=0) as stream:
        try:
            stream.write(data)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise


def _make_room(folder: int) -> None:
    used: dict[str, int] = {}
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            used[name] = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns
    for name in sorted(used, key=used.__getitem__)[: max(len(used) - _MAX_ENTRIES + 1, 0)]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _check(status: os.stat_result) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_WRITE:
        raise PermissionError

"""Writing a session record."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import pwd
import struct
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from guard.alert import Alert
from guard.errors import RecordError
from guard.store import violation

META = "meta.json"
VIOLATIONS = "violations.jsonl"
LAYOUT = "layout.btf"
META_SCHEMA = "guard/session/v1"
EVENTS_SCHEMA = "guard/events/v1"

# A frame: stream, bytes compressed, bytes raw; then the compressed records.
FRAME = struct.Struct("<III")
_SEGMENT_BYTES = 64 << 20
_FRAME_BYTES = 256 << 10  # raw bytes gathered before they are compressed
_SYNC_INTERVAL_S = 1.0


class Stream(enum.IntEnum):
    """The kernel buffer a frame was read from; within one, times nearly ascend."""

    CANDIDATES = 0
    RECORDS = 1


def default_folder(session_id: str, environ: Mapping[str, str]) -> Path:
    """Where the record of a session is kept when nothing else was asked for.

    It is root's state directory: under sudo the caller's XDG_STATE_HOME is not
    used, the guarded command could write there.
    """
    state = "" if "SUDO_UID" in environ else environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state else Path(pwd.getpwuid(os.geteuid()).pw_dir, ".local/state")
    return base / "guard" / "sessions" / session_id


class RecordWriter:
    """An open session record.

    All files are reached through a descriptor of the folder: the guarded command
    may own the folder's parent and rename what is in it.
    """

    def __init__(self, path: Path, meta: Mapping[str, object]) -> None:
        """Make the folder, for root alone; `RecordError` when it holds a record already."""
        self.path = path
        self.alerts = 0
        self.head = violation.FIRST_HASH
        self.event_bytes = 0
        self._pending: dict[Stream, list[bytes]] = {stream: [] for stream in Stream}
        self._pending_bytes = dict.fromkeys(Stream, 0)
        self._segment = -1
        self._segment_number = 0
        self._segment_left = 0
        self._header = b""
        self._synced_at = time.monotonic()
        self._dirty = False
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise _error(path, error) from error
        try:
            os.fchown(self._folder, os.geteuid(), os.getegid())
            os.fchmod(self._folder, 0o700)
            self._violations = self._create(VIOLATIONS)
            self.write_meta(meta)
        except FileExistsError:
            os.close(self._folder)
            raise RecordError(
                f"`{path}` already holds a session record",
                help="name another directory with --report-dir",
            ) from None
        except OSError as error:
            os.close(self._folder)
            raise _error(path, error) from error

    def write_meta(self, meta: Mapping[str, object]) -> None:
        """Replace `meta.json`; a reader sees the old one or the new one, whole."""
        text = json.dumps({"schema": META_SCHEMA, **meta}, indent=2) + "\n"
        self._replace(META, text.encode())

    def set_layout(self, btf: bytes, boot_offset_ns: int) -> None:
        """How to read the raw events: needed before the first of them.

        `boot_offset_ns` is added to an event's boot time to give time since the epoch.
        """
        self._replace(LAYOUT, zlib.compress(btf, 6))
        header = {
            "schema": EVENTS_SCHEMA,
            "layout": LAYOUT,
            "compression": "zlib",
            "boot_offset_ns": boot_offset_ns,
        }
        self._header = json.dumps(header).encode() + b"\n"

    def append_alerts(self, alerts: Sequence[Alert]) -> None:
        """Append and synchronise: when this returns, the alerts survive a crash."""
        lines = []
        for alert in alerts:
            line = violation.to_line(alert, self.head)
            self.head = violation.line_hash(line)
            lines.append(line + "\n")
        with self._errors():
            _write_all(self._violations, "".join(lines).encode())
            os.fdatasync(self._violations)
        self.alerts += len(lines)

    def append_events(self, stream: Stream, records: bytes | memoryview) -> None:
        """Append raw records, whole ones, one after the other."""
        if not records:
            return
        self._pending[stream].append(bytes(records))
        self._pending_bytes[stream] += len(records)
        if self._pending_bytes[stream] >= _FRAME_BYTES:
            self._write_frame(stream)

    def sync(self, *, now: bool = False) -> None:
        """Bring events to the disk, at most once a second unless `now`."""
        if not now and time.monotonic() - self._synced_at < _SYNC_INTERVAL_S:
            return
        for stream in Stream:
            self._write_frame(stream)
        if self._dirty:
            with self._errors():
                os.fdatasync(self._segment)
            self._dirty = False
        self._synced_at = time.monotonic()

    def close(self, *, owner: tuple[int, int] | None = None) -> None:
        """Synchronise and close; `owner` (uid, gid) is given the folder and its files."""
        try:
            self.sync(now=True)
            if owner is not None:
                self._hand_over(*owner)
        finally:
            if self._segment >= 0:
                os.close(self._segment)
            os.close(self._violations)
            os.close(self._folder)

    def _write_frame(self, stream: Stream) -> None:
        parts, size = self._pending[stream], self._pending_bytes[stream]
        if not parts:
            return
        self._pending[stream], self._pending_bytes[stream] = [], 0
        # Level 1: a tenth of a core at 100 000 events a second.
        packed = zlib.compress(b"".join(parts), 1)
        with self._errors():
            if self._segment_left <= 0:
                self._next_segment()
            _write_all(self._segment, FRAME.pack(stream, len(packed), size) + packed)
        self._segment_left -= FRAME.size + len(packed)
        self.event_bytes += FRAME.size + len(packed)
        self._dirty = True

    def _next_segment(self) -> None:
        assert self._header, "set_layout comes first"
        if self._segment >= 0:
            os.fdatasync(self._segment)
            os.close(self._segment)
            self._segment = -1
        self._segment_number += 1
        self._segment = self._create(f"events-{self._segment_number:04d}.seg")
        self._segment_left = _SEGMENT_BYTES
        _write_all(self._segment, self._header)
        os.fsync(self._folder)

    def _create(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=self._folder)

    def _replace(self, name: str, data: bytes) -> None:
        temporary = name + ".new"
        with self._errors():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self._folder)
            fd = self._create(temporary)
            try:
                _write_all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(temporary, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.fsync(self._folder)

    def _hand_over(self, uid: int, gid: int) -> None:
        with self._errors():
            for name in os.listdir(self._folder):
                os.chown(name, uid, gid, dir_fd=self._folder, follow_symlinks=False)
            os.fchown(self._folder, uid, gid)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _error(self.path, error) from error


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _error(path: Path, error: OSError) -> RecordError:
    return RecordError(
        f"the session record `{path}` cannot be written: {error.strerror}",
        help="free some space, or name another directory with --report-dir",
    )

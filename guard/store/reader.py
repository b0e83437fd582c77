"""Reading a session record."""

from __future__ import annotations

import heapq
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guard.bpf.decode import Decoder
from guard.bpf.layout import Layout
from guard.data import dataclass
from guard.errors import RecordError
from guard.event import Event
from guard.store import violation
from guard.store.record import EVENTS_SCHEMA, FRAME, LAYOUT, META, META_SCHEMA, VIOLATIONS, Stream


@dataclass(frozen=True, slots=True)
class Chain:
    """What the hashes through the alerts say."""

    alerts: int
    intact: bool
    reason: str = ""  # why not


class SessionRecord:
    """A session record, finished or not."""

    def __init__(self, path: Path) -> None:
        """Open the folder; `RecordError` when it is not a record this version can read."""
        self.path = path
        try:
            text = (path / META).read_text()
        except OSError as error:
            raise RecordError(
                f"`{path}` is not a session record: {error.strerror}: `{META}`"
            ) from error
        # Any: the shape is META_SCHEMA's.
        self.meta: dict[str, Any] = json.loads(text)
        if self.meta.get("schema") != META_SCHEMA:
            raise RecordError(
                f"`{path}` has schema `{self.meta.get('schema')}`, not `{META_SCHEMA}`",
                help="read it with the version of guard that wrote it",
            )

    def violations(self) -> Iterator[dict[str, Any]]:
        """The alerts, oldest first; a last line cut by a crash is left out."""
        for line in self._lines():
            yield json.loads(line)

    def verify(self) -> Chain:
        """Follow the hashes through the alerts."""
        head, count = violation.FIRST_HASH, 0
        for line in self._lines():
            if json.loads(line).get("prev") != head:
                return Chain(count, intact=False, reason=f"line {count + 1} does not follow")
            head, count = violation.line_hash(line), count + 1
        written = self.meta.get("violations")
        if written is not None and (written["count"], written["head"]) != (count, head):
            reason = f"{written['count']} alerts were written, {count} are here"
            return Chain(count, intact=False, reason=reason)
        return Chain(count, intact=True)

    def raw_frames(self, stream: Stream | None = None) -> Iterator[bytes]:
        """Decompressed frames of raw records, of one stream or all."""
        for path in self._segments():
            yield from _frames(path, stream)

    def decoder(self) -> Decoder | None:
        """Decoder of the raw records, None when there are none."""
        segments = self._segments()
        if not segments:
            return None
        layout = Layout(zlib.decompress((self.path / LAYOUT).read_bytes()))
        return Decoder(layout, _header(segments[0])["boot_offset_ns"])

    def events(self) -> Iterator[Event]:
        """All events by time. A frame cut by a crash and what follows it are left out."""
        decoder = self.decoder()
        if decoder is None:
            return iter(())
        streams = (_nearly_sorted(self._decode(decoder, stream)) for stream in Stream)
        return heapq.merge(*streams, key=_order)

    def _decode(self, decoder: Decoder, stream: Stream) -> Iterator[Event]:
        for frame in self.raw_frames(stream):
            yield from decoder.decode_all(frame)

    def _lines(self) -> Iterator[str]:
        with (self.path / VIOLATIONS).open(encoding="utf-8", newline="\n") as file:
            for line in file:
                if line.endswith("\n"):
                    yield line[:-1]

    def _segments(self) -> list[Path]:
        return sorted(self.path.glob("events-*.seg"))


def _header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        header: dict[str, Any] = json.loads(file.readline())
    if header.get("schema") != EVENTS_SCHEMA:
        raise RecordError(f"`{path}` has schema `{header.get('schema')}`, not `{EVENTS_SCHEMA}`")
    return header


def _frames(path: Path, wanted: Stream | None) -> Iterator[bytes]:
    _header(path)
    with path.open("rb") as file:
        file.readline()
        while len(head := file.read(FRAME.size)) == FRAME.size:
            stream, packed_size, raw_size = FRAME.unpack(head)
            packed = file.read(packed_size)
            if len(packed) < packed_size:
                return
            if wanted is None or stream == wanted:
                try:
                    frame = zlib.decompress(packed)
                except zlib.error:
                    return
                if len(frame) != raw_size:
                    return
                yield frame


def _nearly_sorted(events: Iterator[Event]) -> Iterator[Event]:
    """Sort a stream in which CPUs overtake each other by a few records at most."""
    heap: list[tuple[_Order, Event]] = []
    for event in events:
        heapq.heappush(heap, (_order(event), event))
        if len(heap) > _REORDER_WINDOW:
            yield heapq.heappop(heap)[1]
    while heap:
        yield heapq.heappop(heap)[1]


# A record's time is taken before its place in the buffer is: as many others
# can get in between as events are made while a program is interrupted.
_REORDER_WINDOW = 4096

_Order = tuple[int, int, int]


def _order(event: Event) -> _Order:
    return event.time_ns, event.cpu, event.seq

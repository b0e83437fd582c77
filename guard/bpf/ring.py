"""RingBuffer: the reader's end of a BPF ring buffer, memory-mapped.

Layout (Linux kernel/bpf/ringbuf.c): one page with the consumer's position, one
with the producer's, then the data mapped twice in a row so that no record is
ever split. A record is an 8-byte header (length with two flag bits, page
offset) and its bytes, rounded up to 8. Positions count bytes and never wrap.

What is read is a block: exact records back to back, nothing between them. Each
begins with its own size, so a block can be walked, written to a segment and
joined with others as it is.
"""

from __future__ import annotations

import mmap
import os
from typing import Self

from guard.errors import UnsupportedError

_BUSY = 1 << 31
_DISCARD = 1 << 30
_HEADER = 8


class RingBuffer:
    """One ring buffer; there must be one reader only."""

    def __init__(self, fd: int, size: int) -> None:
        """Map the buffer behind `fd` (not owned) with `size` bytes of data.

        Raises UnsupportedError when that fails or the processor is not x86-64.
        """
        # The producer publishes a record by clearing BUSY with a locked exchange, and space is
        # given back by storing our position. x86-64 keeps loads in order among themselves and
        # stores after earlier loads, so plain accesses from Python are enough there.
        machine = os.uname().machine
        if machine != "x86_64":
            raise UnsupportedError(
                f"guard cannot read kernel buffers on `{machine}`",
                help="use a machine with an x86-64 processor",
            )
        page = mmap.PAGESIZE
        try:
            self._consumer_page = mmap.mmap(fd, page)
            self._pages = mmap.mmap(
                fd, page + 2 * size, offset=page, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED
            )
        except (OSError, ValueError) as error:
            raise UnsupportedError(f"the event buffer cannot be mapped: {error}") from error
        self._fd = fd
        self._mask = size - 1
        self._consumer = memoryview(self._consumer_page).cast("Q")
        self._producer = memoryview(self._pages)[:page].cast("Q")
        self._heads = memoryview(self._pages)[page:].cast("I")

    def fileno(self) -> int:
        return self._fd

    @property
    def pending_bytes(self) -> int:
        """What producers have reserved and `read` has not taken, headers included."""
        return self._producer[0] - self._consumer[0]

    def read(self) -> bytes:
        """All finished records, as one block; ends at a record still being written."""
        at = self._consumer[0]
        end = self._producer[0]
        if at == end:
            return b""
        heads, pages, base = self._heads, self._pages, mmap.PAGESIZE + _HEADER
        first = at & self._mask
        # The second mapping of the data lets the offset run on past the end of the first.
        stop = first + end - at
        offset = first
        parts = []
        while offset < stop:
            length = heads[offset >> 2]
            if length < _DISCARD:
                start = base + offset
                parts.append(pages[start : start + length])
            elif length >= _BUSY:
                break
            else:
                length -= _DISCARD
            offset += length + 15 & -8
        # Only now: the producer may overwrite everything before this position.
        self._consumer[0] = at + offset - first
        return b"".join(parts)

    def close(self) -> None:
        """Unmap. May be called twice."""
        for view in (self._consumer, self._producer, self._heads):
            view.release()
        self._consumer_page.close()
        self._pages.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

"""Loads the kernel programs while Python is still importing the rest of guard.

The verifier takes about as long as reading the policy does, without the
interpreter's lock: the two share the time on two processors.
"""

from __future__ import annotations

import threading
from pathlib import Path

import guard.bpf
from guard.bpf.layout import Layout
from guard.bpf.program import Program
from guard.errors import GuardError

OBJECT = Path(guard.bpf.__path__[0]) / "guard.bpf.o"


def layout() -> Layout:
    """Layout of the kernel object, without waiting for the kernel."""
    return Layout.from_file(OBJECT)


class Loading:
    """Programs on their way into the kernel, not attached to anything yet."""

    def __init__(self, *, candidate_bytes: int, record_bytes: int) -> None:
        self._sizes = {"candidates": candidate_bytes, "records": record_bytes}
        self._program: Program | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._load, name="guard-loading")
        self._thread.start()

    def take(self) -> Program:
        """The loaded programs, now the caller's to close; raises what loading raised."""
        # No thread may be left when the session forks its command.
        self._thread.join()
        program, self._program = self._program, None
        if program is None:
            assert self._error is not None, "taken twice"
            raise self._error
        return program

    @property
    def is_done(self) -> bool:
        """Whether `take` would return at once."""
        return not self._thread.is_alive()

    def discard(self) -> None:
        """Unload what nobody took."""
        self._thread.join()
        if self._program is not None:
            self._program.close()
            self._program = None

    def _load(self) -> None:
        try:
            program = Program.open(OBJECT, ring_bytes=self._sizes)
            try:
                program.load()
            except BaseException:
                program.close()
                raise
            self._program = program
        except (GuardError, OSError) as error:
            self._error = error

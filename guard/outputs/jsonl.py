"""Alerts as JSON lines on a stream or in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from guard.alert import Alert
from guard.errors import UsageError
from guard.outputs import falco


class JsonLinesSink:
    """Writes Falco's JSON alert, one per line, each flushed."""

    def __init__(self, stream: TextIO, hostname: str, *, owns_stream: bool = False) -> None:
        self._stream = stream
        self._hostname = hostname
        self._owns_stream = owns_stream

    @classmethod
    def open(cls, path: Path, hostname: str) -> JsonLinesSink:
        """Append to the file `path`; `UsageError` when it cannot be opened."""
        try:
            stream = path.open("a", encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"alert file `{path}` cannot be written: {error.strerror}",
                help="name a file in a directory that exists",
            ) from error
        return cls(stream, hostname, owns_stream=True)

    def emit(self, alerts: Sequence[Alert]) -> None:
        self._stream.writelines(falco.to_json(alert, self._hostname) + "\n" for alert in alerts)
        self._stream.flush()

    def close(self) -> None:
        if self._owns_stream:
            self._stream.close()

"""Writing a session record."""

from __future__ import annotations

import contextlib
import enum
import hashlib
import json
import os
import pwd
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from guard.alert import Alert
from guard.errors import RecordError
from guard.event import Process
from guard.outputs import falco

META = "meta.json"
VIOLATIONS = "violations.jsonl"
LAYOUT = "layout.btf"
META_SCHEMA = "guard/session/v1"
VIOLATION_SCHEMA = "guard/violation/v1"
EVENTS_SCHEMA = "guard/events/v1"
FIRST_HASH = "0" * 64

# A frame: stream, bytes compressed, bytes raw; then the compressed records.
FRAME = struct.Struct("<III")
_SEGMENT_BYTES = 64 << 20
_FRAME_BYTES = 1 << 20
_SYNC_INTERVAL_S = 1.0


class Stream(enum.IntEnum):
    """The kernel buffer a frame was read from; each is in order, almost."""

    CANDIDATES = 0
    RECORDS = 1

"""libbpf.so.1 as it is: the functions guard calls, their types, and its messages.

Nothing is decided here. Functions that return a pointer return None on
failure, the others a negative errno; both leave the error in `last_errno()`.
What libbpf would print goes to `messages` instead of the terminal.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_int,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from functools import cache

from guard.errors import UnsupportedError

SONAME = "libbpf.so.1"

# A failed load prints a verifier log of megabytes; its end tells what was wrong.
_MESSAGE_CHARS = 65536
_LEVEL_DEBUG = 2
_VA_LIST_BYTES = 32

messages: deque[str] = deque(maxlen=256)


class ObjectOpenOpts(Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("object_name", c_char_p),
        ("relaxed_maps", c_bool),
        ("pin_root_path", c_char_p),
        ("reserved", c_uint32),
        ("kconfig", c_char_p),
        ("btf_custom_path", c_char_p),
        ("kernel_log_buf", c_char_p),
        ("kernel_log_size", c_size_t),
        ("kernel_log_level", c_uint32),
    )


class ProgLoadOpts(Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("attempts", c_int),
        ("expected_attach_type", c_int),
        ("prog_btf_fd", c_uint32),
        ("prog_flags", c_uint32),
        ("prog_ifindex", c_uint32),
        ("kern_version", c_uint32),
        ("attach_btf_id", c_uint32),
        ("attach_prog_fd", c_uint32),
        ("attach_btf_obj_fd", c_uint32),
        ("fd_array", c_void_p),
        ("func_info", c_void_p),
        ("func_info_cnt", c_uint32),
        ("func_info_rec_size", c_uint32),
        ("line_info", c_void_p),
        ("line_info_cnt", c_uint32),
        ("line_info_rec_size", c_uint32),
        ("log_level", c_uint32),
        ("log_size", c_uint32),
        ("log_buf", c_char_p),
    )


class MapBatchOpts(Structure):
    _fields_ = (("sz", c_size_t), ("elem_flags", c_uint64), ("flags", c_uint64))


class IterTask(Structure):
    """The part of union bpf_iter_link_info that selects tasks."""

    _fields_ = (("tid", c_uint32), ("pid", c_uint32), ("pid_fd", c_uint32), ("pad", c_uint32))


class IterAttachOpts(Structure):
    _fields_ = (("sz", c_size_t), ("link_info", POINTER(IterTask)), ("link_info_len", c_uint32))


# bpf_object, bpf_program, bpf_map and bpf_link pointers are opaque to us.
_SIGNATURES: dict[str, tuple[type | None, tuple[object, ...]]] = {
    "bpf_object__open_file": (c_void_p, (c_char_p, POINTER(ObjectOpenOpts))),
    "bpf_object__load": (c_int, (c_void_p,)),
    "bpf_object__close": (None, (c_void_p,)),
    "bpf_object__next_program": (c_void_p, (c_void_p, c_void_p)),
    "bpf_object__next_map": (c_void_p, (c_void_p, c_void_p)),
    "bpf_program__name": (c_char_p, (c_void_p,)),
    "bpf_program__section_name": (c_char_p, (c_void_p,)),
    "bpf_program__fd": (c_int, (c_void_p,)),
    "bpf_program__set_autoload": (c_int, (c_void_p, c_bool)),
    "bpf_program__attach": (c_void_p, (c_void_p,)),
    "bpf_program__attach_cgroup": (c_void_p, (c_void_p, c_int)),
    "bpf_program__attach_iter": (c_void_p, (c_void_p, POINTER(IterAttachOpts))),
    "bpf_link__fd": (c_int, (c_void_p,)),
    "bpf_link__destroy": (c_int, (c_void_p,)),
    "bpf_iter_create": (c_int, (c_int,)),
    "bpf_map__name": (c_char_p, (c_void_p,)),
    "bpf_map__fd": (c_int, (c_void_p,)),
    "bpf_map__type": (c_int, (c_void_p,)),
    "bpf_map__key_size": (c_uint32, (c_void_p,)),
    "bpf_map__value_size": (c_uint32, (c_void_p,)),
    "bpf_map__max_entries": (c_uint32, (c_void_p,)),
    "bpf_map__set_max_entries": (c_int, (c_void_p, c_uint32)),
    "bpf_map_update_elem": (c_int, (c_int, c_void_p, c_void_p, c_uint64)),
    "bpf_map_update_batch": (
        c_int,
        (c_int, c_void_p, c_void_p, POINTER(c_uint32), POINTER(MapBatchOpts)),
    ),
    "bpf_map_lookup_and_delete_batch": (
        c_int,
        (c_int, c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_uint32), POINTER(MapBatchOpts)),
    ),
    "bpf_map_lookup_elem": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_delete_elem": (c_int, (c_int, c_void_p)),
    "bpf_map_get_next_key": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_prog_load": (
        c_int,
        (c_int, c_char_p, c_char_p, c_void_p, c_size_t, POINTER(ProgLoadOpts)),
    ),
    "bpf_raw_tracepoint_open": (c_int, (c_char_p, c_int)),
    "libbpf_find_vmlinux_btf_id": (c_int, (c_char_p, c_int)),
    "libbpf_num_possible_cpus": (c_int, ()),
    "libbpf_strerror": (c_int, (c_int, c_char_p, c_size_t)),
    "libbpf_version_string": (c_char_p, ()),
}

_PrintFunction = CFUNCTYPE(c_int, c_int, c_void_p, c_void_p)


@cache
def library() -> ctypes.CDLL:
    """The loaded library, ready to call.

    Raises UnsupportedError when it is not installed or too old.
    """
    try:
        loaded = ctypes.CDLL(SONAME, use_errno=True)
    except OSError as error:
        raise UnsupportedError(
            f"`{SONAME}` cannot be loaded: {error}",
            help="install libbpf 1.0 or newer (Debian, Ubuntu: `apt install libbpf1`)",
        ) from error
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            function = getattr(loaded, name)
        except AttributeError as error:
            raise UnsupportedError(
                f"`{SONAME}` has no function `{name}`", help="install libbpf 1.0 or newer"
            ) from error
        function.restype = result
        function.argtypes = arguments
    loaded.libbpf_set_print.restype = c_void_p
    loaded.libbpf_set_print.argtypes = (_PrintFunction,)
    loaded.libbpf_set_print(_print)
    return loaded


@contextmanager
def quiet() -> Iterator[None]:
    """Within it libbpf calls nobody with its messages.

    They are over a thousand for one load, most of them for debugging, and each waits
    for the interpreter's lock: loading would take as long as what runs beside it.
    """
    library().libbpf_set_print(_NO_PRINT)
    try:
        yield
    finally:
        library().libbpf_set_print(_print)


def last_errno() -> int:
    """Positive errno of the last call that failed in this thread."""
    return ctypes.get_errno()


def error_text(errno: int) -> str:
    """What `errno` means; libbpf has numbers of its own above 4000."""
    buffer = ctypes.create_string_buffer(256)
    library().libbpf_strerror(errno, buffer, len(buffer))
    return buffer.value.decode(errors="replace")


def _format(pattern: int, arguments: int) -> str:
    vsnprintf = _libc().vsnprintf
    # The va_list arrives as a pointer to its state on x86-64 and arm64. Measuring
    # the text uses the arguments up, so the state is put back before the second call.
    state = ctypes.string_at(arguments, _VA_LIST_BYTES)
    length = vsnprintf(None, 0, pattern, arguments)
    if length < 0:
        return ""
    ctypes.memmove(arguments, state, _VA_LIST_BYTES)
    buffer = ctypes.create_string_buffer(length + 1)
    vsnprintf(buffer, length + 1, pattern, arguments)
    return buffer.value[-_MESSAGE_CHARS:].decode(errors="replace")


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    libc.vsnprintf.restype = c_int
    libc.vsnprintf.argtypes = (c_char_p, c_size_t, c_void_p, c_void_p)
    return libc


def _capture(level: int, pattern: int, arguments: int) -> int:
    if level < _LEVEL_DEBUG:
        messages.append(_format(pattern, arguments))
    return 0


_print = _PrintFunction(_capture)
_NO_PRINT = _PrintFunction()

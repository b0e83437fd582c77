"""Program: the kernel object opened, sized, loaded and attached through libbpf.

Every attachment is a link, so the kernel removes all of it when guard's process
ends, however it ends.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Self

from guard.bpf import libbpf
from guard.bpf.layout import Layout
from guard.bpf.syscalls import call_entries
from guard.errors import GuardError, PrivilegeError, UnsupportedError

_CALL_MAP = "calls"
_SCRATCH_MAP = "scratch"
_LOG_TAIL_LINES = 12
_BTF = "/sys/kernel/btf/vmlinux"
_PER_CPU_TYPES = frozenset({5, 6, 10, 21})  # per-CPU hash, array, LRU hash, cgroup storage


class Map:
    """One map of a loaded program. Keys and values are the bytes of the C types."""

    def __init__(self, pointer: int) -> None:
        lib = libbpf.library()
        self.name: str = lib.bpf_map__name(pointer).decode()
        self.fd: int = lib.bpf_map__fd(pointer)
        self.key_size: int = lib.bpf_map__key_size(pointer)
        self.value_size: int = lib.bpf_map__value_size(pointer)
        self.max_entries: int = lib.bpf_map__max_entries(pointer)
        per_cpu = lib.bpf_map__type(pointer) in _PER_CPU_TYPES
        self.cpus: int = lib.libbpf_num_possible_cpus() if per_cpu else 1
        # The kernel rounds each CPU's value up to 8 bytes.
        self._stride = (self.value_size + 7) // 8 * 8 if per_cpu else self.value_size
        self._buffer = ctypes.create_string_buffer(max(self._stride * self.cpus, 8))

    def update(self, key: bytes, value: bytes) -> None:
        """Insert or replace. UnsupportedError when the map is full or the kernel refuses."""
        self._check(key, value)
        if libbpf.library().bpf_map_update_elem(self.fd, key, value, 0) < 0:
            code = libbpf.last_errno()
            full = f": it holds {self.max_entries} entries at most" if code == errno.E2BIG else ""
            raise UnsupportedError(
                f"map `{self.name}` cannot be written: {libbpf.error_text(code)}{full}"
            )

    def update_all(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Insert or replace many entries by one system call; see `update`."""
        for key, value in zip(keys, values, strict=True):
            self._check(key, value)
        done = ctypes.c_uint32(len(keys))
        options = libbpf.MapBatchOpts(sz=ctypes.sizeof(libbpf.MapBatchOpts))
        update = libbpf.library().bpf_map_update_batch
        if keys and update(
            self.fd, b"".join(keys), b"".join(values), ctypes.byref(done), ctypes.byref(options)
        ):
            # Not every kernel does it for every type of map; and this tells what is wrong.
            for key, value in zip(keys, values, strict=True):
                self.update(key, value)

    def lookup(self, key: bytes) -> bytes | None:
        """The value, None when the key is absent. For per-CPU maps see `lookup_cpus`."""
        assert self.cpus == 1 or self._stride == 0, self.name
        return self._value(key)

    def lookup_cpus(self, key: bytes) -> list[bytes]:
        """The value of each possible CPU, an empty list when the key is absent."""
        data = self._value(key)
        if data is None:
            return []
        starts = range(0, len(data), self._stride)
        return [data[start : start + self.value_size] for start in starts]

    def delete(self, key: bytes) -> bool:
        """Remove; False when the key was absent."""
        self._check(key)
        if libbpf.library().bpf_map_delete_elem(self.fd, key) == 0:
            return True
        return self._absent()

    def keys(self) -> Iterator[bytes]:
        """All keys; ones added or removed meanwhile may be missed or repeated."""
        lib = libbpf.library()
        following = ctypes.create_string_buffer(max(self.key_size, 8))
        key: bytes | None = None
        while lib.bpf_map_get_next_key(self.fd, key, following) == 0:
            key = following.raw[: self.key_size]
            yield key
        self._absent()

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        for key in list(self.keys()):
            value = self.lookup(key)
            if value is not None:
                yield key, value

    def take_all(self) -> dict[bytes, bytes]:
        """Remove all entries of a hash map and return them; nothing may be added meanwhile."""
        found: dict[bytes, bytes] = {}
        count = ctypes.c_uint32(self.max_entries)
        keys = ctypes.create_string_buffer(self.max_entries * self.key_size)
        values = ctypes.create_string_buffer(self.max_entries * self.value_size)
        options = libbpf.MapBatchOpts(sz=ctypes.sizeof(libbpf.MapBatchOpts))
        position = ctypes.c_uint64()
        failed = libbpf.library().bpf_map_lookup_and_delete_batch(
            self.fd, None, ctypes.byref(position), keys, values,
            ctypes.byref(count), ctypes.byref(options),
        )  # fmt: skip
        # ENOENT: these were all. What a kernel without batches left there follows one by one.
        if not failed or libbpf.last_errno() == errno.ENOENT:
            key_bytes, value_bytes = self.key_size, self.value_size
            all_keys = ctypes.string_at(keys, count.value * key_bytes)
            all_values = ctypes.string_at(values, count.value * value_bytes)
            for index in range(count.value):
                key = all_keys[index * key_bytes : (index + 1) * key_bytes]
                found[key] = all_values[index * value_bytes : (index + 1) * value_bytes]
        for key, value in self.items():
            found[key] = value
            self.delete(key)
        return found

    def _value(self, key: bytes) -> bytes | None:
        self._check(key)
        if libbpf.library().bpf_map_lookup_elem(self.fd, key, self._buffer) == 0:
            return self._buffer.raw[: self._stride * self.cpus]
        self._absent()
        return None

    def _absent(self) -> bool:
        code = libbpf.last_errno()
        if code != errno.ENOENT:
            raise UnsupportedError(f"map `{self.name}`: {libbpf.error_text(code)}")
        return False

    def _check(self, key: bytes, value: bytes | None = None) -> None:
        # A short buffer would let the kernel read memory that is not ours.
        if len(key) != self.key_size or (value is not None and len(value) != self.value_size):
            raise ValueError(
                f"map {self.name} takes {self.key_size} bytes of key and {self.value_size} of value"
            )


class Program:
    """The object file and everything the kernel holds for it; close it to detach."""

    def __init__(
        self,
        path: str,
        layout: Layout,
        ring_bytes: Mapping[str, int],
        autoload: Callable[[str], bool],
    ) -> None:
        """See `open`."""
        self.path = path
        self.layout = layout
        self._sizes = ring_bytes
        self._autoload = autoload
        self._object: int | None = None
        self._programs: dict[str, int] = {}
        self._maps: dict[str, int] = {}
        self._loaded: dict[str, Map] = {}
        self._links: dict[str, int] = {}

    @classmethod
    def open(
        cls,
        object_path: str | PathLike[str],
        *,
        ring_bytes: Mapping[str, int] | None = None,
        autoload: Callable[[str], bool] = bool,  # every name is true
    ) -> Self:
        """Parse the object; nothing reaches the kernel before `load`.

        `ring_bytes` sizes ring-buffer maps (libbpf rounds up to a power of two
        of pages); `autoload` says which programs to load. Raises UnsupportedError.
        """
        path = os.fspath(object_path)
        program = cls(path, Layout.from_file(path), ring_bytes or {}, autoload)
        with libbpf.quiet():
            is_open = program._parse()
        if not is_open and not program._parse():
            raise _failure(f"the kernel object `{path}` cannot be opened", libbpf.last_errno())
        return program

    @property
    def program_names(self) -> Sequence[str]:
        return list(self._programs)

    @property
    def map_names(self) -> Sequence[str]:
        return list(self._maps)

    def load(self) -> None:
        """Create maps, verify programs, fill `calls`.

        Raises UnsupportedError with the end of the verifier's log, PrivilegeError without root.
        """
        with libbpf.quiet():
            is_loaded = libbpf.library().bpf_object__load(self._object) >= 0
        if not is_loaded:
            # Once more, to hear why.
            self.close()
            self._parse()
            if libbpf.library().bpf_object__load(self._object) < 0:
                raise _load_failure(libbpf.last_errno())
        if _CALL_MAP in self._maps:
            entries = list(call_entries(self.layout))
            self.map(_CALL_MAP).update_all(
                [index.to_bytes(4, "little") for index, _entry in entries],
                [entry for _index, entry in entries],
            )

    def is_loaded(self, name: str) -> bool:
        """Whether the program exists and `autoload` selected it."""
        pointer = self._programs.get(name)
        return pointer is not None and libbpf.library().bpf_program__fd(pointer) >= 0

    def attach(self, name: str) -> None:
        """Attach to the hook that the program's section names."""
        libbpf.messages.clear()
        self._keep(name, libbpf.library().bpf_program__attach(self._programs[name]))

    def attach_cgroup(self, name: str, cgroup_fd: int) -> None:
        """Attach to a cgroup v2 directory, beside what others have attached there."""
        libbpf.messages.clear()
        lib = libbpf.library()
        self._keep(name, lib.bpf_program__attach_cgroup(self._programs[name], cgroup_fd))

    def detach(self, name: str) -> None:
        libbpf.library().bpf_link__destroy(self._links.pop(name))

    def map(self, name: str) -> Map:
        """The map; KeyError when the object has none of that name. Only after `load`."""
        known = self._loaded.get(name)
        if known is None:
            known = self._loaded[name] = Map(self._maps[name])
        return known

    def read_iterator(self, name: str, pid: int) -> bytes:
        """Run the iterator program over the tasks of process `pid`; returns what it printed."""
        lib = libbpf.library()
        libbpf.messages.clear()
        selection = libbpf.IterTask(pid=pid)
        options = libbpf.IterAttachOpts(
            sz=ctypes.sizeof(libbpf.IterAttachOpts),
            link_info=ctypes.pointer(selection),
            link_info_len=ctypes.sizeof(selection),
        )
        link = lib.bpf_program__attach_iter(self._programs[name], ctypes.byref(options))
        if not link:
            # Selecting tasks came with Linux commit f0d74c4da1f0 ("bpf: Parameterize task
            # iterators.") (v6.1); without it the iterator visits all of them.
            link = lib.bpf_program__attach_iter(self._programs[name], None)
        if not link:
            raise _failure(f"program `{name}` cannot be attached", libbpf.last_errno())
        try:
            fd = lib.bpf_iter_create(lib.bpf_link__fd(link))
            if fd < 0:
                raise _failure(f"iterator `{name}` cannot be opened", libbpf.last_errno())
            with open(fd, "rb", buffering=0) as file:
                return file.readall() or b""
        finally:
            lib.bpf_link__destroy(link)

    def close(self) -> None:
        """Detach and unload everything. May be called twice."""
        lib = libbpf.library()
        for link in self._links.values():
            lib.bpf_link__destroy(link)
        self._links.clear()
        if self._object is not None:
            lib.bpf_object__close(self._object)
            self._object = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _parse(self) -> bool:
        """Open the object file and make its settings; False when libbpf cannot open it."""
        lib = libbpf.library()
        options = libbpf.ObjectOpenOpts(sz=ctypes.sizeof(libbpf.ObjectOpenOpts))
        libbpf.messages.clear()
        pointer = lib.bpf_object__open_file(os.fsencode(self.path), ctypes.byref(options))
        if not pointer:
            return False
        self._object = pointer
        self._programs = dict(_walk(pointer, "program"))
        self._maps = dict(_walk(pointer, "map"))
        sizes = dict(self._sizes)
        if _SCRATCH_MAP in self._maps:
            per_cpu = self.layout.enum("policy_limit")["SCRATCH_PER_CPU"]
            sizes.setdefault(_SCRATCH_MAP, per_cpu * lib.libbpf_num_possible_cpus())
        for name, size in sizes.items():
            if lib.bpf_map__set_max_entries(self._maps[name], size) < 0:
                raise _failure(f"map `{name}` cannot have size {size}", libbpf.last_errno())
        for name, each in self._programs.items():
            lib.bpf_program__set_autoload(each, self._autoload(name))
        return True

    def _keep(self, name: str, link: int | None) -> None:
        if not link:
            raise _failure(f"program `{name}` cannot be attached", libbpf.last_errno())
        self._links[name] = link


def set_task_state(program: Program, pidfd: int, state: bytes) -> None:
    """Mark a process as guarded: `state` is a packed struct task_state."""
    program.map("tasks").update(pidfd.to_bytes(4, "little"), state)


def learn_inodes(program: Program, fds: Sequence[int]) -> list[int]:
    """Kernel addresses of the inodes behind our own descriptors, in order.

    They stay valid as keys as long as the descriptors are open.
    Raises UnsupportedError when the iterator left one out.
    """
    reader, requests = program.map("inode_reader"), program.map("inode_requests")
    reader.update(bytes(4), os.getpid().to_bytes(4, "little"))
    keys = [fd.to_bytes(4, "little") for fd in fds]
    try:
        requests.update_all(keys, [bytes(8)] * len(keys))
        program.read_iterator("learn_inodes", os.getpid())
    finally:
        found = requests.take_all()
    inodes = [int.from_bytes(found[key], "little") for key in keys]
    for fd, inode in zip(fds, inodes, strict=True):
        if not inode:
            raise UnsupportedError(f"the kernel did not tell the inode of descriptor {fd}")
    return inodes


def _walk(pointer: int, what: str) -> Iterator[tuple[str, int]]:
    lib = libbpf.library()
    step = getattr(lib, f"bpf_object__next_{what}")
    name = getattr(lib, f"bpf_{what}__name")
    item = step(pointer, None)
    while item:
        yield name(item).decode(), item
        item = step(pointer, item)


def _load_failure(code: int) -> GuardError:
    # Only now: libbpf finds it in other places too.
    if not os.path.exists(_BTF):
        return UnsupportedError(
            f"this kernel has no type information: `{_BTF}` (BTF) does not exist",
            help="use a kernel built with CONFIG_DEBUG_INFO_BTF, as all big distributions ship",
        )
    text = "\n".join(libbpf.messages)
    program = re.search(r"prog '([^']+)': (?:BPF program load failed|failed to)", text)
    failed_map = re.search(r"[Mm]ap '?([\w.]+)'?: failed to create|map '([\w.]+)': failed", text)
    if program:
        what = f"the kernel refuses program `{program[1]}`"
    elif failed_map:
        what = f"the kernel refuses map `{failed_map[1] or failed_map[2]}`"
    else:
        what = "the kernel object cannot be loaded"
    return _failure(what, code)


def _failure(what: str, code: int) -> GuardError:
    message = f"{what}: {libbpf.error_text(code)}"
    if code == errno.EPERM and os.geteuid() != 0:
        return PrivilegeError(message, help="run guard as root, for example with `sudo`")
    log = [line for text in libbpf.messages for line in text.splitlines() if line.strip()]
    noise = re.compile(r"^(processed \d+ insns|-- (BEGIN|END) PROG LOAD LOG --|libbpf: (failed))")
    tail = [line for line in log if not noise.match(line)][-_LOG_TAIL_LINES:]
    if tail:
        message += "\n" + "\n".join("  " + line for line in tail)
    return UnsupportedError(message, help=_REMEDIES.get(code, _REMEDY))


_REMEDY = "run `guard doctor` to see what this kernel offers; guard needs Linux 5.15 or newer"
_REMEDIES = {
    errno.EPERM: "something above guard refuses it: a container without CAP_BPF, or the host",
    errno.ENOMEM: "free some memory, or make the event buffers smaller",
    errno.ESRCH: "the kernel has no type information (CONFIG_DEBUG_INFO_BTF) for this hook",
    errno.EBADF: "the cgroup must be a directory of a mounted cgroup v2 hierarchy",
}

"""The guest's first file system: busybox, a few modules and the scripts.

Written as a cpio archive ("newc") here: no cpio program, no root, same bytes
every time.
"""

from __future__ import annotations

import lzma
import stat
from pathlib import Path

from tests.vm.config import ROOT
from tests.vm.kernels import Kernel

BUSYBOX = Path("/bin/busybox")  # of busybox-static: needs no libraries in the archive

# What stands between a booted kernel and the overlay root. Those built into a
# kernel are not in its package and are left out.
MODULES = ("virtio_pci", "virtiofs", "overlay")


SCRIPTS = Path(__file__).parent


def build(kernel: Kernel, command: str) -> bytes:
    """The archive for `kernel` whose init ends up in the shell script `command`."""
    archive = Archive()
    for folder in ("bin", "modules", "proc", "sys", "dev", "lower", "memory", "root"):
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("bin/busybox", stat.S_IFREG | 0o755, BUSYBOX.read_bytes())
    archive.add("init", stat.S_IFREG | 0o755, (SCRIPTS / "init.sh").read_bytes())
    archive.add("main.sh", stat.S_IFREG | 0o644, (SCRIPTS / "main.sh").read_bytes())
    archive.add("command.sh", stat.S_IFREG | 0o644, command.encode())
    archive.add("checkout", stat.S_IFREG | 0o644, str(ROOT).encode())
    for number, (name, content) in enumerate(load_order(kernel)):
        archive.add(f"modules/{number:02}-{name}.ko", stat.S_IFREG | 0o644, content)
    return archive.finish()


def load_order(kernel: Kernel) -> list[tuple[str, bytes]]:
    """`MODULES` and all they depend on, each after its dependencies."""
    files = {
        entry.name.partition(".")[0].replace("-", "_"): entry
        for entry in kernel.modules.rglob("*.ko*")
    }
    ordered: dict[str, bytes] = {}

    def visit(name: str) -> None:
        if name in ordered or name not in files:
            return
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":
            content = lzma.decompress(content)
        for dependency in dependencies(content):
            visit(dependency)
        ordered[name] = content

    for name in MODULES:
        visit(name)
    return list(ordered.items())


def dependencies(module: bytes) -> list[str]:
    """Names in the `depends=` entry of .modinfo: depmod's own source."""
    start = module.find(b"\0depends=") + len(b"\0depends=")
    text = module[start : module.index(b"\0", start)].decode()
    return [name.replace("-", "_") for name in text.split(",") if name]


class Archive:
    """A cpio archive in the making."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0

    def add(self, name: str, mode: int, content: bytes = b"") -> None:
        self._count += 1
        encoded = name.encode() + b"\0"
        # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        numbers = (self._count, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08x" % number for number in numbers)
        self._parts += [padded(header + encoded), padded(content)]

    def finish(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return b"".join(self._parts)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

"""Boots guests and runs a command in each: ``python -m tests.vm -- COMMAND``."""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.vm import initramfs, kernels
from tests.vm.config import BOOT_SECONDS, CACHE, CPUS, GUESTS, MEMORY, ROOT, Guest

VIRTIOFSD = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd")
STARTED = "guest: started "
EXIT = "guest: exit "


@dataclass(frozen=True, slots=True)
class Result:
    """How a guest ended; `status` is None when it never said."""

    guest: Guest
    status: int | None
    output: tuple[str, ...]
    boot_seconds: float
    seconds: float
    console: Path


def main(arguments: list[str]) -> int:
    """Run the command in every guest asked for; 0 when it succeeded in all."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=__doc__)
    parser.add_argument("--guest", action="append", choices=[guest.name for guest in GUESTS])
    parser.add_argument("--timeout", type=float, default=600, help="seconds for each guest")
    parser.add_argument("command", nargs="+", help="found as on the host, run as root")
    options = parser.parse_args(arguments)
    guests = [
        guest
        for guest in GUESTS
        if (guest.name in options.guest if options.guest else guest.default)
    ]
    results = [run(guest, options.command, timeout=options.timeout) for guest in guests]
    print(f"\n{'guest':<14}{'boot':>8}{'total':>8}  result")
    for result in results:
        print(
            f"{result.guest.name:<14}{result.boot_seconds:>6.1f} s{result.seconds:>6.1f} s  "
            f"{verdict(result)}"
        )
    return 0 if all(result.status == 0 for result in results) else 1


def verdict(result: Result) -> str:
    if result.status is None:
        return f"FAILED: hung or died without an exit status, see {result.console}"
    return "ok" if result.status == 0 else f"FAILED: exit {result.status}"


def run(guest: Guest, command: list[str], *, timeout: float = 600, echo: bool = True) -> Result:
    """Boot `guest`, run `command` in it from the tree's root, wait for its end.

    `timeout` is in seconds, boot included. The kernel's console is kept in a file.
    """
    kernel = kernels.fetch(guest.package)
    console = CACHE / f"console-{guest.name}.log"
    with tempfile.TemporaryDirectory(prefix="guard-vm-", dir=CACHE) as text:
        folder = Path(text)
        archive = folder / "initramfs.cpio"
        archive.write_bytes(initramfs.build(kernel, command_script(command)))
        with (
            file_server(folder / "virtiofs.sock"),
            subprocess.Popen(
                qemu(kernel, guest, folder=folder, console=console),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ) as machine,
        ):
            try:
                return follow(machine, guest, console, timeout=timeout, echo=echo)
            finally:
                machine.kill()


def command_script(command: list[str]) -> str:
    """What bash runs in the guest: the host's PATH and guard's own variables, then the command."""
    kept = {"PATH": os.environ["PATH"], "HOME": "/root", "TERM": "dumb"}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("GUARD_")}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in kept.items())
    return f"{exports}cd {shlex.quote(str(ROOT))}\n{shlex.join(command)}\n"


@contextlib.contextmanager
def file_server(socket: Path) -> Iterator[None]:
    """Virtiofsd offering the host's root; the guest mounts it read-only."""
    program = next((path for path in VIRTIOFSD if Path(path).exists()), None)
    if program is None or shutil.which("qemu-system-x86_64") is None:
        raise SystemExit("missing programs: run `make setup-vm`")
    server = subprocess.Popen(
        [program, f"--socket-path={socket}", "-o", "source=/,sandbox=chroot,cache=always"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 10
        while not socket.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                raise SystemExit(f"virtiofsd did not start\n{server.communicate()[1]}")
            time.sleep(0.02)
        yield
    finally:
        server.kill()
        server.communicate()


def qemu(kernel: kernels.Kernel, guest: Guest, *, folder: Path, console: Path) -> list[str]:
    return [
        "qemu-system-x86_64",
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(CPUS), "-m", MEMORY),
        # virtiofs reads and writes the guest's memory, so it has to be shared.
        *("-object", f"memory-backend-memfd,id=memory,size={MEMORY},share=on"),
        *("-machine", "q35,memory-backend=memory"),
        *("-chardev", f"socket,id=host,path={folder / 'virtiofs.sock'}"),
        *("-device", "vhost-user-fs-pci,queue-size=1024,chardev=host,tag=host"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-serial", f"file:{console}", "-serial", "stdio"),
        *("-kernel", str(kernel.image), "-initrd", str(folder / "initramfs.cpio")),
        *("-append", f"console=ttyS0 panic=-1 quiet mitigations=off {guest.append}".strip()),
    ]


def follow(
    machine: subprocess.Popen[bytes], guest: Guest, console: Path, *, timeout: float, echo: bool
) -> Result:
    """Read the command's output to the end; a guest that says nothing in time is stopped."""
    assert machine.stdout is not None
    start = time.monotonic()
    boot: float | None = None
    status: int | None = None
    lines: list[str] = []
    with selectors.DefaultSelector() as selector:
        selector.register(machine.stdout, selectors.EVENT_READ)
        buffer = b""
        while True:
            limit = start + (BOOT_SECONDS if boot is None else timeout)
            if not selector.select(max(0.0, limit - time.monotonic())):
                break
            block = os.read(machine.stdout.fileno(), 65536)
            if not block:
                break
            *complete, buffer = (buffer + block).split(b"\n")
            for raw in complete:
                line = raw.decode(errors="backslashreplace").rstrip("\r")
                if line.startswith(STARTED):
                    boot = time.monotonic() - start
                elif line.startswith(EXIT):
                    status = int(line.removeprefix(EXIT))
                else:
                    lines.append(line)
                    if echo:
                        print(f"[{guest.name}] {line}", flush=True)
    end = time.monotonic() - start
    return Result(guest, status, tuple(lines), end if boot is None else boot, end, console)

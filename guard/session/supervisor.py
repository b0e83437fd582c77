"""The supervisor: signals, job control, exit status and terminal of the command.

The command shares guard's terminal, session and process group, so Ctrl-C,
Ctrl-Z, resizing and raw mode reach it directly. What is left for guard: not to
react itself, to stop when the command stops and continue it afterwards, to hand
on signals sent to guard alone, and to repair the terminal after a crash.
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
from collections.abc import Callable

from guard.session import syscalls
from guard.session.launch import Child

# From the terminal: the command gets them itself. SIGTSTP must be ignored and
# not only blocked: otherwise Ctrl-Z, fg stops the job a second time.
_IGNORED = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_INTERRUPTS = (signal.SIGINT, signal.SIGQUIT)
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_READ = (signal.SIGCHLD, *_INTERRUPTS, *_FORWARDED)


class Supervisor:
    r"""Takes over guard's signals from construction to `close`.

    Make it before the child is started, so that no signal is missed, and poll
    `fileno()`; `handle()` does what the waiting signals ask for. `on_interrupt` is
    called for Ctrl-C and Ctrl-\, and for whatever would end guard once the command
    is gone; `on_death` for a dead child that is not the command.
    """

    def __init__(self) -> None:
        self.child: Child | None = None
        self.status: int | None = None  # wait status of the command, None while it lives
        self.on_interrupt: Callable[[], None] = lambda: None
        self.on_death: Callable[[int], None] = lambda _pid: None
        syscalls.set_child_subreaper()
        self._old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, _READ)
        self._old_handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _IGNORED}
        # A Python handler would run on a signal even though it is never delivered,
        # and SIG_IGN would discard a blocked SIGCHLD's children: plain defaults.
        self._old_handlers |= {n: signal.signal(n, signal.SIG_DFL) for n in _READ}
        self._fd = syscalls.signalfd(_READ)
        self._terminal = _Terminal.current()

    def fileno(self) -> int:
        return self._fd

    def watch(self, child: Child) -> None:
        """From now on `child` is the command."""
        self.child = child
        # It may have ended before this call; its SIGCHLD may have been read already.
        self._reap()

    def handle(self) -> None:
        """React to all signals waiting in `fileno()`."""
        for received in syscalls.read_signals(self._fd):
            if received.number == signal.SIGCHLD:
                self._reap()
            elif received.number in _INTERRUPTS or self.status is not None:
                self.on_interrupt()
            elif received.code != syscalls.SI_KERNEL:
                # The kernel's own (the terminal went away) went to the command too.
                self.send(received.number)

    def send(self, number: int) -> None:
        """Send a signal to the command, if it still runs."""
        if self.child is not None and self.status is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.child.pidfd, number)

    def terminate(self) -> None:
        """Ask the command to end; one that is stopped could not hear it."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)

    def close(self) -> None:
        """Give the signals back, and the terminal if the command left it in disorder."""
        if self.status is not None and os.WIFSIGNALED(self.status) and self._terminal:
            self._terminal.restore()
        if self._terminal:
            self._terminal.close()
        if self.child is not None:
            os.close(self.child.pidfd)
        os.close(self._fd)
        # Only what came for the command is still pending: it must not hit guard now.
        while signal.sigtimedwait(_READ, 0) is not None:
            pass
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)

    def _reap(self) -> None:
        # -1: orphans of the session become guard's children, see set_child_subreaper.
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = os.WIFEXITED(status) or os.WIFSIGNALED(status)
            if self.child is None or pid != self.child.pid:
                if ended:
                    self.on_death(pid)
            elif ended:
                self.status = status
            elif os.WIFSTOPPED(status) and self._terminal is not None:
                self._stop_with_child()

    def _stop_with_child(self) -> None:
        # Whoever started guard sees it stop as it would see the command stop.
        os.kill(os.getpid(), signal.SIGSTOP)
        # Here after SIGCONT, which a shell's fg and bg send to the whole group;
        # `kill -CONT` of guard alone reaches the command only through this.
        self.send(signal.SIGCONT)


class _Terminal:
    """The controlling terminal, its modes and foreground group at the start."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._modes = termios.tcgetattr(fd)
        self._foreground = os.tcgetpgrp(fd)

    @classmethod
    def current(cls) -> _Terminal | None:
        try:
            return cls(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
        except (OSError, termios.error):
            return None

    def restore(self) -> None:
        """Undo raw mode and a foreground group that has died with the command.

        Not when guard ran in the background: then the terminal is someone else's.
        """
        with contextlib.suppress(OSError, termios.error):
            if self._foreground == os.getpgrp():
                # SIGTTOU is ignored, else this call would stop guard.
                os.tcsetpgrp(self._fd, self._foreground)
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._modes)

    def close(self) -> None:
        os.close(self._fd)

"""What a session costs: ``bench/run.py [ROUNDS]``, as root.

Every round runs the workload once in every way, so that drift of the machine
hits all alike. Ratios of medians to no guard at all; the second column of no
guard says how much two equal things differ here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BENCH = Path(__file__).parent
WORKLOAD = [sys.executable, str(BENCH / "workload.py")]
GUARD = [str(Path(sys.executable).parent / "guard"), "run"]
STRACE = [
    "strace",
    "-f",
    "--seccomp-bpf",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "trace=%file,%network,%process",
]


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("bench: guard needs root")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ways = ["no guard", "no guard again", "in a session", "beside a session"]
    if shutil.which("strace"):
        ways.append("strace")
    times: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    lost: list[object] = []
    for number in range(rounds):
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            with work_folder() as folder:
                times[way].append(measure(way, folder, lost))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    print_workload(times)
    print(f"lost events in sessions: {lost}")
    print_startup(rounds)


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def measure(way: str, folder: Path, lost: list[object]) -> dict[str, float]:
    work, result, report = folder / "work", folder / "result.json", folder / "report"
    work.mkdir()
    command = [*WORKLOAD, str(work), str(result)]
    if way == "in a session":
        subprocess.run(
            [*GUARD, "--quiet", f"--workspace={work}", f"--report-dir={report}", "--", *command],
            check=True,
            cwd=work,
        )
        lost.append(json.loads((report / "meta.json").read_text())["lost"])
    elif way == "beside a session":
        with idle_session():
            subprocess.run(command, check=True)
    elif way == "strace":
        subprocess.run([*STRACE, *command], check=True)
    else:
        subprocess.run(command, check=True)
    seconds: dict[str, float] = json.loads(result.read_text())
    return {**seconds, "total": sum(seconds.values())}


@contextlib.contextmanager
def idle_session() -> Iterator[None]:
    session = subprocess.Popen([*GUARD, "--quiet", "--", "sleep", "600"])
    time.sleep(1.5)  # attached by then
    try:
        yield
    finally:
        session.send_signal(signal.SIGTERM)
        session.wait()


def print_workload(times: dict[str, list[dict[str, float]]]) -> None:
    steps = list(times["no guard"][0])
    medians = {
        way: {step: statistics.median(run[step] for run in runs) for step in steps}
        for way, runs in times.items()
    }
    print(f"{'':18}" + "".join(f"{step:>12}" for step in steps))
    for way, row in medians.items():
        if way == "no guard":
            cells = [f"{row[step]:10.3f} s" for step in steps]
        else:
            cells = [f"{row[step] / medians['no guard'][step]:11.2f}x" for step in steps]
        print(f"{way:18}" + "".join(cells))


def print_startup(rounds: int) -> None:
    """Seconds and peak resident memory of `guard run -- true`, best and median."""
    runs = []
    for _ in range(max(rounds, 5)):
        start = time.perf_counter()
        pid = os.posix_spawn(GUARD[0], [*GUARD, "--quiet", "--", "true"], os.environ)
        _, status, usage = os.wait4(pid, 0)
        if status != 0:
            sys.exit(f"bench: guard run -- true ended with {status}")
        runs.append((time.perf_counter() - start, usage.ru_maxrss / 1024))
    seconds = sorted(run[0] for run in runs)
    print(
        f"guard run -- true: {seconds[0]:.2f} s best, {statistics.median(seconds):.2f} s median,"
        f" {max(run[1] for run in runs):.0f} MB resident"
    )


if __name__ == "__main__":
    main()

"""More events than fit: what is lost is counted, said and never hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import Place

FLOOD_C = """
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char name[64];
	for (int i = 0; i < atoi(argv[1]); i++) {
		snprintf(name, sizeof(name), "no-such-file-%d", i);
		if (open(name, O_RDONLY) >= 0)
			return 1;
	}
	return 0;
}
"""
OPENS = 200_000


@pytest.fixture(scope="module")
def flood(user, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that opens as many files as it is told, as fast as it can."""
    return compile_c(user, tmp_path_factory.mktemp("flood"), "flood", FLOOD_C)


@pytest.mark.slow
def test_flood_of_records(place: Place, flood: Path) -> None:
    """Emitted is received plus dropped, to the event; the summary says that it is incomplete."""
    small = {"GUARD_CANDIDATE_BYTES": "4096", "GUARD_RECORD_BYTES": "4096"}
    result = place.run(flood, OPENS, options=["--record", "all"], env=small)
    assert 0 == result.code
    meta = result.record.meta
    counters = meta["counters"]
    assert counters["seen"] >= OPENS
    assert counters["dropped_record"] > 0
    received = sum(1 for _ in result.record.events())
    lost = counters["dropped_candidate"] + counters["dropped_record"]
    assert meta["lost"] == lost
    assert counters["candidate"] + counters["record"] == received
    emitted = received + lost
    # Each open, and each program's own few; the kernel counts what it sees before it decides.
    assert OPENS <= emitted <= counters["seen"]
    assert f"  lost events    {lost} of {emitted}, the record is incomplete\n" in result.err
    assert " guard: events lost: " in result.err
    assert "guard: events lost" in result.rules
    assert result.record.verify().intact


def test_enforcement_does_not_depend_on_the_buffers(place: Place, flood: Path) -> None:
    """The kernel decides: a key is safe while events are being lost."""
    key = place.user.plant(".ssh/id_flood", "secret\n")
    small = {"GUARD_CANDIDATE_BYTES": "4096", "GUARD_RECORD_BYTES": "4096"}
    script = f"{flood} 60000 & for n in $(seq 20); do cat {key}; done; wait; true"
    result = place.sh(script, options=["--record", "all"], env=small)
    assert (0, "") == (result.code, result.out)
    assert 20 == result.record.meta["counters"]["killed"]


def compile_c(user, folder: Path, name: str, text: str) -> Path:
    """Compile a program to where the user can run it."""
    import shutil
    import subprocess

    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: apt-get install gcc")
    source, program = folder / f"{name}.c", user.folder / name
    source.write_text(text)
    subprocess.run([compiler, "-O1", "-o", program, source], check=True, timeout=60)
    return program

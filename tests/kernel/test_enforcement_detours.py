"""Ways to the content of a denied file that do not open it, or not where one looks.

Each works unguarded. Not here, for nothing certain can be said of it: a second
thread that tries the next descriptor again and again may read from it between
the open and the kill.
"""

import subprocess
import sys

import pytest

from guard.engine.unruled import note_on
from guard.event import FLAG_TEXT_PATH
from tests.kernel.policy import OPENS, in_force, rule, verdicts

pytestmark = pytest.mark.kernel
CONTENT = "the content that nobody may see\n"
PYTHON = (sys.executable, "-I", "-c")
BEGIN = """
import ctypes, mmap, os, struct, sys
call = ctypes.CDLL(None, use_errno=True).syscall
following = os.dup(1); os.close(following)
"""

SHARED_TABLE = """
CLONE_FILES, SIGCHLD = 0x400, 17
child = call(56, CLONE_FILES | SIGCHLD, 0, 0, 0, 0)
if child == 0:
    os.open("tree/secret", os.O_RDONLY)
    os._exit(0)
os.waitpid(child, 0)
os.write(1, os.pread(following, 99, 0))
"""

# A traced process stops before it lets go of its files, also when it is killed.
TAKEN_FROM_THE_DEAD = """
SEIZE, DETACH, TRACEEXIT, GETFD = 0x4206, 17, 0x40, 438
go, write = os.pipe()
child = os.fork()
if child == 0:
    os.read(go, 1)
    os.open("tree/secret", os.O_RDONLY)
    os._exit(0)
pidfd = os.pidfd_open(child)
call(101, SEIZE, child, 0, TRACEEXIT)
os.write(write, b"x")
os.waitpid(child, 0x40000000)
for number in (following, following + 2, following + 3):
    taken = call(GETFD, pidfd, number, 0)
    if taken >= 0:
        try:
            os.write(1, os.pread(taken, 99, 0))
        except OSError:
            pass
call(101, DETACH, child, 0, 0)
"""

# Descriptors of the ring's own table have no number in the process.
RING = """
OPENAT, READ, WRITE, LINK, FIXED = 18, 22, 23, 4, 1
direct = DIRECT
params = bytearray(120)
view = (ctypes.c_char * 120).from_buffer(params)
ring = call(425, 8, view)
sq = struct.unpack_from("<10I", params, 40)
cq = struct.unpack_from("<10I", params, 80)
rings = mmap.mmap(ring, max(cq[5] + 16 * 16, sq[6] + 8 * 4))
entries = mmap.mmap(ring, 8 * 64, offset=0x10000000)
buffer = ctypes.create_string_buffer(99)
path = ctypes.create_string_buffer(b"tree/secret")
if direct:
    call(427, ring, 2, struct.pack("<4i", -1, -1, -1, -1), 4)
number = os.dup(1); os.close(number)
def entry(slot, code, flags, fd, offset, address, length, index):
    struct.pack_into("<BBHiQQIIQHHI16x", entries, slot * 64,
                     code, flags, 0, fd, offset, address, length, 0, 0, 0, 0, index)
entry(0, OPENAT, LINK, -100, 0, ctypes.addressof(path), 0, 1 if direct else 0)
entry(1, READ, LINK | (FIXED if direct else 0), 0 if direct else number, 0,
      ctypes.addressof(buffer), LENGTH, 0)
entry(2, WRITE, 0, 1, 2**64 - 1, ctypes.addressof(buffer), LENGTH, 0)
struct.pack_into("<3I", rings, sq[6], 0, 1, 2)
struct.pack_into("<I", rings, sq[1], 3)
call(426, ring, 3, 3, 1, 0, 0)
"""

DETOURS = {
    "a descriptor table shared with a process that dies for it": SHARED_TABLE,
    "a descriptor taken from the process that died": TAKEN_FROM_THE_DEAD,
    "a ring that opens, reads and writes in one go": RING.replace("DIRECT", "False"),
    "a ring with descriptors of its own": RING.replace("DIRECT", "True"),
}


# An overlay has inodes and directories of its own. No privilege is needed to make one.
STACKED = """
mkdir -p o && mount -t tmpfs none o && mkdir o/upper o/work o/merged &&
mount -t overlay -o lowerdir=tree,upperdir=o/upper,workdir=o/work none o/merged &&
cat o/merged/secret
"""
OVERLAY = ("unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", STACKED)
DETOURS["an overlay"] = ""


def command(detour):
    if detour == "an overlay":
        return OVERLAY
    return (*PYTHON, BEGIN + DETOURS[detour].replace("LENGTH", str(len(CONTENT))))


@pytest.fixture
def secret(place):
    (place / "tree").mkdir()
    (place / "tree" / "secret").write_text(CONTENT)
    return place / "tree" / "secret"


@pytest.mark.parametrize("detour", DETOURS)
def test_works_unguarded(detour, secret, place):
    ran = subprocess.run(
        command(detour), cwd=place, capture_output=True, text=True, timeout=20, check=True
    )
    assert CONTENT in ran.stdout


@pytest.mark.parametrize("detour", DETOURS)
def test_shows_nothing(detour, session, secret, place):
    text = rule(f"{OPENS} and evt.is_open_read = true and fd.name pmatch ({place}/tree)")
    with in_force(session, text):
        runs = [session.run(command(detour), cwd=place) for _ in range(5)]

    assert [] == [run.output for run in runs if CONTENT.strip() in run.output]


@pytest.mark.parametrize(
    ("detour", "kind", "words"),
    [
        ("a descriptor table shared with a process that dies for it", "process_fork", "shares"),
        ("a ring with descriptors of its own", "file_open", "io_uring opened a file"),
    ],
)
def test_what_cannot_be_judged_says_why(detour, kind, words, session, secret, place):
    text = rule(f"{OPENS} and evt.is_open_read = true and fd.name pmatch ({place}/tree)")
    with in_force(session, text):
        run = session.run(command(detour), cwd=place)

    event = verdicts(run)[0]
    assert (kind, 0, "") == (event.kind, event.rule, getattr(event, "path", ""))
    assert words in note_on(event).output


@pytest.mark.parametrize("alias", ["alias/file", "other/file"])
def test_a_name_by_way_of_a_symlink_is_not_followed(alias, session, trigger, place):
    """The limit of calls that are seen as text: the event says so, and the rule does not match."""
    (place / "tree").mkdir()
    (place / "tree" / "file").touch()
    (place / "alias").symlink_to("tree")
    (place / "other").symlink_to(place / "tree")
    text = rule(f"evt.type in (unlink, unlinkat) and guard.path pmatch ({place}/tree)")
    with in_force(session, text):
        run = session.run([trigger, "unlink", 1, alias], cwd=place)

    (event,) = run.of("file_unlink")
    assert not (place / "tree" / "file").exists()
    assert (str(place / alias), FLAG_TEXT_PATH) == (event.path, event.flags)
    assert [] == verdicts(run)

"""A file that may not be read: whichever way it is opened, its content is not seen.

Every way is tried twice: unguarded it works, guarded the process that opened
the file is dead before it could read.
"""

import os
import shutil
import subprocess
import sys

import pytest

from guard.event import FLAG_WALK_FAILED, VERDICT_KILLED
from tests.kernel.harness import deep_directory
from tests.kernel.policy import OPENS, in_force, rule, verdicts, was_killed

pytestmark = pytest.mark.kernel
CONTENT = "the content that nobody may see\n"
PYTHON = (sys.executable, "-I", "-S", "-c")


def python(code):
    return (*PYTHON, f"import os\n{code}")


def shell(code):
    return ("/bin/sh", "-c", code)


# Commands in a directory that holds `tree/inner/secret`, `alias` (a symlink to
# it) and `alias-tree` (to `tree`). They print the content.
WAYS = {
    "by its path": ("cat", "tree/inner/secret"),
    "by its absolute path": shell('cat "$PWD/tree/inner/secret"'),
    "by way of ..": ("cat", "tree/../tree/inner/.././inner/secret"),
    "through a symlink": ("cat", "alias"),
    "through a symlink to a directory": ("cat", "alias-tree/inner/secret"),
    "from inside the directory": shell("cd tree/inner && cat secret"),
    "below a descriptor": python(
        "d = os.open('tree/inner', os.O_RDONLY)\n"
        "print(os.read(os.open('secret', os.O_RDONLY, dir_fd=d), 99).decode())"
    ),
    "through /proc/self/root": shell('cat "/proc/self/root$PWD/tree/inner/secret"'),
    "through /proc/self/cwd": ("cat", "/proc/self/cwd/tree/inner/secret"),
    "from a path-only descriptor": python(
        "d = os.open('tree/inner/secret', os.O_PATH)\n"
        "print(open(f'/proc/self/fd/{d}').read())"
    ),
    "for reading and writing": shell("cat 0<>tree/inner/secret"),
    "after its directory was renamed": shell("mv tree moved && cat moved/inner/secret"),
    "after it was renamed": shell("mv tree/inner/secret harmless; cat harmless"),
    "by a thread": python(
        "import threading\n"
        "t = threading.Thread(target=lambda: print(open('tree/inner/secret').read()))\n"
        "t.start(); t.join()"
    ),
    "by a grandchild": shell("(sh -c '(cat tree/inner/secret)')"),
    "through a bind mount": (
        "unshare", "-m", "/bin/sh", "-c",
        "mkdir other && mount --bind tree other && cat other/inner/secret",
    ),
    "through a bind mount of the file": (
        "unshare", "-m", "/bin/sh", "-c",
        ": >other && mount --bind tree/inner/secret other && cat other",
    ),
}  # fmt: skip


@pytest.fixture
def secret(place):
    file = place / "tree" / "inner" / "secret"
    file.parent.mkdir(parents=True)
    file.write_text(CONTENT)
    (place / "alias").symlink_to("tree/inner/secret")
    (place / "alias-tree").symlink_to(place / "tree")
    return file


def file_rule(file):
    return rule(f"{OPENS} and evt.is_open_read = true and fd.name = {file}")


def tree_rule(place):
    return rule(f"{OPENS} and evt.is_open_read = true and fd.name pmatch ({place}/tree)")


def never_seen(run, content=CONTENT):
    """The one that opened it is dead, and what it would have printed is not there."""
    (event,) = verdicts(run)
    assert "file_open" == event.kind
    assert content.strip() not in run.output + run.errors
    return was_killed(run, event)


def unguarded(command, place):
    ran = subprocess.run(command, cwd=place, stdout=subprocess.PIPE, text=True, timeout=20)  # noqa: PLW1510  the output tells
    return ran.stdout


@pytest.mark.parametrize("way", WAYS)
def test_works_unguarded(way, secret, place):
    assert CONTENT.strip() in unguarded(WAYS[way], place)


@pytest.mark.parametrize("way", WAYS)
def test_a_denied_file(way, session, secret, place):
    with in_force(session, file_rule(secret)):
        run = session.run(WAYS[way], cwd=place)

    assert never_seen(run)
    assert {str(secret)} <= {e.path for e in verdicts(run)} or "moun" in way or "renamed" in way


@pytest.mark.parametrize("way", WAYS)
def test_a_denied_directory(way, session, secret, place):
    with in_force(session, tree_rule(place)):
        run = session.run(WAYS[way], cwd=place)

    assert never_seen(run)


@pytest.mark.parametrize("way", ["by its path", "through a symlink", "from inside the directory"])
def test_a_denied_name_anywhere(way, session, secret, place):
    with in_force(session, rule(f"{OPENS} and fd.filename = secret")):
        run = session.run(WAYS[way], cwd=place)

    assert never_seen(run)


@pytest.mark.parametrize(
    "command",
    [
        ("open", 1, "tree/inner/secret", os.O_RDONLY),
        ("openat2", 1, "tree/inner/secret", os.O_RDONLY),
        ("open_int80", 1, "tree/inner/secret", os.O_RDONLY),
        ("uring_openat", 1, "tree/inner/secret", os.O_RDONLY),
        ("uring_openat_async", 1, "tree/inner/secret", os.O_RDONLY),
    ],
    ids=lambda command: command[0],
)
def test_other_calls_that_open(command, session, trigger, secret, place):
    """The trigger says what it did when it is done; here it never is."""
    assert '"res": -' not in unguarded([trigger, *map(str, command)], place)
    with in_force(session, file_rule(secret)):
        run = session.run([trigger, *command], cwd=place)

    assert never_seen(run)
    assert ("", -9) == (run.output, run.status)


def test_open_by_handle(session, trigger, secret, place):
    (secret.parent / "file-0").write_text(CONTENT)
    with in_force(session, tree_rule(place)):
        run = session.run([trigger, "open_by_handle_at", 1], cwd=secret.parent)

    # Making the file and finding its handle are no reads; opening its directory is one.
    assert ("", -9) == (run.output, run.status)
    assert was_killed(run, verdicts(run)[0])


def test_inside_a_changed_root(session, trigger, secret, place):
    shutil.copy(trigger, place / "trigger")
    command = ["chroot", place, "/trigger", "openat", 1, "/tree/inner/secret", os.O_RDONLY]
    with in_force(session, file_rule(secret)):
        run = session.run(command, cwd=place)

    assert never_seen(run)
    assert "/tree/inner/secret" == verdicts(run)[0].path


def test_a_hard_link_made_before(session, secret, place):
    """The file is known by its inode, and has it under any name."""
    os.link(secret, place / "other-name")
    with in_force(session, file_rule(secret)):
        run = session.run(["cat", "other-name"], cwd=place)

    assert never_seen(run)


def test_a_hard_link_made_by_the_process(session, secret, place):
    with in_force(session, file_rule(secret)):
        run = session.run(shell("ln tree/inner/secret other; cat other"), cwd=place)

    assert never_seen(run)


def test_a_hard_link_made_before_out_of_a_directory(session, secret, place):
    """Files that are there when the policy is loaded are known one by one."""
    os.link(secret, place / "other-name")
    with in_force(session, tree_rule(place)):
        run = session.run(["cat", "other-name"], cwd=place)

    assert never_seen(run)


def test_a_hard_link_made_by_the_process_out_of_a_directory(session, secret, place):
    with in_force(session, tree_rule(place)):
        run = session.run(shell("ln tree/inner/secret other; cat other"), cwd=place)

    assert never_seen(run)


def test_a_file_made_later_is_lost_by_a_hard_link(session, secret, place):
    """The limit of rules on directories: what was not there when the policy was loaded."""
    with in_force(session, tree_rule(place)):
        (place / "tree" / "later").write_text(CONTENT)
        run = session.run(shell("ln tree/later other; cat other"), cwd=place)

    assert CONTENT == run.output
    assert [] == verdicts(run)


@pytest.mark.parametrize("make_rule", ["file", "tree"])
@pytest.mark.parametrize("code", ["ln $file x.pub; cat x.pub", "mv $file x.pub; cat x.pub"])
def test_a_name_that_excuses_counts_only_from_the_beginning(
    code, make_rule, session, secret, place
):
    (place / "tree" / "mine.pub").write_text("public\n")
    rules = {"file": f"fd.name = {secret}", "tree": f"fd.name pmatch ({place}/tree)"}
    text = rule(
        f"{OPENS} and evt.is_open_read = true and {rules[make_rule]}"
        " and not fd.filename endswith .pub"
    )
    with in_force(session, text):
        allowed = session.run(shell("cat tree/mine.pub"), cwd=place)
        denied = session.run(shell(code.replace("$file", "tree/inner/secret")), cwd=place)

    assert "public\n" == allowed.output
    assert never_seen(denied)


@pytest.mark.parametrize("make_rule", ["file", "tree"])
def test_a_file_that_is_made_later(make_rule, session, place):
    """When the policy was loaded there was nothing, not even the directories."""
    file = place / "tree" / "inner" / "secret"
    text = file_rule(file) if make_rule == "file" else tree_rule(place)
    with in_force(session, text):
        file.parent.mkdir(parents=True)
        file.write_text(CONTENT)
        run = session.run(["cat", "tree/inner/secret"], cwd=place)

    assert never_seen(run)


@pytest.mark.parametrize("make_rule", ["file", "tree"])
def test_a_file_that_is_replaced(make_rule, session, secret, place):
    """Another inode by the same name, as editors save."""
    text = file_rule(secret) if make_rule == "file" else tree_rule(place)
    with in_force(session, text):
        (place / "new").write_text(CONTENT + "newer")
        (place / "new").rename(secret)
        run = session.run(["cat", "tree/inner/secret"], cwd=place)

    assert never_seen(run)


@pytest.mark.parametrize("make_rule", ["file", "tree"])
def test_a_directory_that_is_replaced(make_rule, session, secret, place):
    text = file_rule(secret) if make_rule == "file" else tree_rule(place)
    with in_force(session, text):
        shutil.rmtree(place / "tree")
        secret.parent.mkdir(parents=True)
        secret.write_text(CONTENT)
        run = session.run(["cat", "tree/inner/secret"], cwd=place)

    assert never_seen(run)


def test_deep_below_a_denied_directory(session, place):
    """The walk up finds the directory over any number of levels."""
    deep = place / "tree"
    deep.mkdir()
    code = (
        "for i in range(600):\n"
        "    os.mkdir('d'); os.chdir('d')\n"
        f"open('secret', 'w').write({CONTENT!r})\n"
        "print(open('secret').read())"
    )
    with in_force(session, tree_rule(place)):
        run = session.run(python(code), cwd=deep)
    subprocess.run(["rm", "-rf", deep], check=True)

    assert never_seen(run)


def test_deeper_than_the_kernel_looks(session, place):
    """What cannot be decided is refused: the process dies, and no rule is named for it."""
    with deep_directory(place, 8200) as folder:
        file = os.open(f"{folder}/file", os.O_CREAT | os.O_WRONLY)
        os.write(file, CONTENT.encode())
        os.close(file)
        with in_force(session, tree_rule(place)):
            run = session.run(["cat", "file"], cwd=folder)

    (event,) = verdicts(run)
    assert was_killed(run, event, number=0)
    assert event.flags & FLAG_WALK_FAILED
    assert CONTENT not in run.output


def test_what_the_rule_does_not_name(session, secret, place):
    """Neighbours, the directory above, metadata, and writing where reading is denied."""
    (place / "tree-not").write_text("neighbour\n")
    (place / "tree" / "inner" / "secret2").write_text("sibling\n")
    code = (
        "cat tree-not tree/inner/secret2; ls tree/inner; echo more >>tree/inner/secret;"
        "stat tree/inner/secret"
    )
    with in_force(session, file_rule(secret)):
        run = session.run(shell(code), cwd=place)

    assert 0 == run.status
    assert run.output.startswith("neighbour\nsibling\nsecret\nsecret2\n")
    assert [] == verdicts(run)


def test_a_denied_write(session, secret, place):
    """The process dies, but the file is cut by then: opening it with O_TRUNC did that."""
    text = rule(f"{OPENS} and evt.is_open_write = true and fd.name = {secret}")
    with in_force(session, text):
        reading = session.run(["cat", "tree/inner/secret"], cwd=place)
        writing = session.run(shell("echo lost >tree/inner/secret"), cwd=place)

    assert CONTENT == reading.output
    (event,) = verdicts(writing)
    assert was_killed(writing, event)
    assert "" == secret.read_text()


def test_a_failed_open_is_not_punished(session, secret, place):
    """A rule without a result speaks of opens that succeed or fail; one with it does not."""
    text = rule(f"{OPENS} and evt.failed = false and fd.name = {secret}")
    secret.chmod(0)
    with in_force(session, text):
        run = session.run(["cat", "tree/inner/secret"], cwd=place, user=65534, group=65534)

    assert 1 == run.status
    assert [] == verdicts(run)


@pytest.mark.parametrize(("program", "allowed"), [("/bin/cat", True), ("/usr/bin/head", False)])
def test_an_exception_for_a_program(program, allowed, session, secret, place):
    real = os.path.realpath("/bin/cat")
    text = rule(f"{OPENS} and fd.name = {secret} and not proc.exepath = {real}")
    with in_force(session, text):
        run = session.run([program, "tree/inner/secret"], cwd=place)

    assert (CONTENT if allowed else "") == run.output
    assert (0 if allowed else VERDICT_KILLED) == max(event.verdict for event in run.events)


def test_a_copy_of_the_program_is_not_the_program(session, secret, place):
    real = os.path.realpath("/bin/cat")
    shutil.copy(real, place / "cat")
    text = rule(f"{OPENS} and fd.name = {secret} and not proc.exepath = {real}")
    with in_force(session, text):
        run = session.run(["./cat", "tree/inner/secret"], cwd=place)

    assert never_seen(run)


def test_a_rule_for_what_an_ancestor_is(session, secret, place):
    """Bits of programs are inherited over fork and exec."""
    shutil.copy("/bin/sh", place / "agent")
    text = rule(f"{OPENS} and fd.name = {secret} and proc.aname = agent")
    with in_force(session, text):
        other = session.run(shell("sh -c 'cat tree/inner/secret; :'"), cwd=place)
        run = session.run(["./agent", "-c", "sh -c 'cat tree/inner/secret; :'"], cwd=place)

    assert CONTENT == other.output
    assert never_seen(run)


def test_a_policy_replaced_while_it_is_in_force(session, secret, place):
    with in_force(session, file_rule(secret)):
        pass
    with in_force(session, rule(f"{OPENS} and fd.name = {place}/elsewhere")):
        allowed = session.run(["cat", "tree/inner/secret"], cwd=place)
        with in_force(session, file_rule(secret)):
            denied = session.run(["cat", "tree/inner/secret"], cwd=place)

    assert CONTENT == allowed.output
    assert never_seen(denied)

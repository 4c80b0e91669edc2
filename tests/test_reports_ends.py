"""How the command ends: by Ctrl-C at any moment, with no process of its own left, and in a line that is only text."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commandline import complaint, environment, espalier, espalier_process, program_text

from accel.interchange import zoo
from reports.shared import console, progress
from reports.shared.terminal import clean
from rtl import children

INTERRUPTED = "espalier: interrupted\n"
AT_IMPORT = """
import os, signal, sys
left = {number}
def count(event, _):
    global left
    if event == "import":
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.{signal})
sys.addaudithook(count)
"""


def alive(process: int) -> bool:
    """Return whether a process is there and does not only wait for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(what: Callable[[], bool], seconds: float = 60) -> bool:
    """Return whether something comes true."""
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


class TestInterrupted:
    @pytest.mark.parametrize("number", [1, 2, 30, 200, 400])
    def test_while_importing(self, number: int) -> None:
        """Ctrl-C at the first import of all, or at any other, is status 130 and one line."""
        done = espalier_process("size", "digits", before=AT_IMPORT.format(number=number, signal="SIGINT"))
        assert (done.status, done.out, done.err) == (130, "", INTERRUPTED)

    def test_never(self) -> None:
        """Negative control: with fewer imports than that the command does its work."""
        done = espalier_process("--version", before=AT_IMPORT.format(number=10**6, signal="SIGINT"))
        assert (done.status, done.err) == (0, "")

    def test_terminated(self) -> None:
        """A request to terminate is the same with its own status."""
        done = espalier_process("size", "digits", before=AT_IMPORT.format(number=100, signal="SIGTERM"))
        assert (done.status, done.err) == (143, "espalier: terminated\n")

    @pytest.mark.parametrize("times", [1, 2])
    def test_where_nobody_hears(self, times: int) -> None:
        """Code that does not look at signals is ended after a few seconds, or by the second Ctrl-C at once."""
        deaf = (
            "import hashlib; from reports.commands import info\n"
            "info.command.callback = "
            "lambda **_: (print('here', flush=True), hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1))"
        )
        words = [*program_text(deaf), "info"]
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as run:
            assert run.stdout
            assert run.stdout.readline() == "here\n"
            for _ in range(times):
                run.send_signal(signal.SIGINT)
                time.sleep(0.2)
            _, errors = run.communicate(timeout=30)
        assert (run.returncode, errors) == (130, INTERRUPTED)

    @pytest.mark.slow
    def test_what_to_do_next(self, tmp_path: Path) -> None:
        """What keeps its work says how to go on, in the same line."""
        stop = "import os; import reports.commands.explore as e; e.answered = lambda *_: os.kill(os.getpid(), 2)"
        out = tmp_path / "my folder"
        done = espalier_process("explore", "digits", "--jobs", 1, "-o", out, before=stop)
        line = f"the same command goes on where it was: espalier explore digits --jobs 1 -o '{out}'"
        assert (done.status, done.err) == (130, f"espalier: interrupted; {line}\n")

    def test_what_was_ignored_stays_so(self) -> None:
        """A process that was told to ignore Ctrl-C, as jobs in the background are, ignores it."""
        before = "import os, signal; signal.signal(2, signal.SIG_IGN)"
        after = "; import reports.shell as s; r = s.run; s.run = lambda: (os.kill(os.getpid(), 2), r())[1]"
        assert espalier_process("--version", before=before + after).status == 0


class TestChildren:
    def test_output(self, tmp_path: Path) -> None:
        """A child's status and words are told; it has no input; bytes that are no text do not matter."""
        done = children.run(["sh", "-c", "read x; echo \"[$x]\" $PWD; printf '\\377' >&2; exit 3"], tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (3, f"[] {tmp_path.resolve()}\n", "\ufffd")

    def test_no_such_program(self, tmp_path: Path) -> None:
        """What cannot be started is an error of the system."""
        with pytest.raises(FileNotFoundError):
            children.run(["no-such-program"], tmp_path)

    @pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_none_is_left(self, tmp_path: Path, by: signal.Signals) -> None:
        """However we end, a child ends too, and what it has started; until then (negative control) both are there."""
        family = "sleep 600 & echo $$ $! > pids.new; mv pids.new pids; wait"
        code = f"import pathlib; from rtl.children import run; run(['sh', '-c', {family!r}], pathlib.Path('.'))"
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL
        ) as run:
            assert wait_for((tmp_path / "pids").exists)
            family_of = [*map(int, (tmp_path / "pids").read_text().split())]
            assert [alive(process) for process in family_of] == [True, True]
            run.send_signal(by)
        assert wait_for(lambda: not any(map(alive, family_of)))


class TestNames:
    def test_clean(self) -> None:
        """Control characters, marks of direction, and bytes that are no UTF-8 become escapes; text stays text."""
        assert clean("bell \a, clear \x1b[2J, C1 \x9b, bidi \u202e, byte \udcff, line\r") == (
            r"bell \x07, clear \x1b[2J, C1 \x9b, bidi \u202e, byte \udcff, line\r"
        )
        assert clean("naïve 😀\n\tand so on") == "naïve 😀\n\tand so on"

    def test_no_utf8(self, tmp_path: Path) -> None:
        """A name with bytes that are no UTF-8 is refused in a line of text."""
        name = os.fsencode(tmp_path) + b"/\xff.espalier"
        words = [*program_text(), "run", os.fsdecode(name)]
        done = subprocess.run(words, capture_output=True, check=False, env=environment())
        assert done.returncode == 2
        assert done.stderr.decode() == (
            f"espalier: {tmp_path}/\\udcff.espalier: holds bytes that are no UTF-8, which no file of results can name\n"
        )

    @pytest.mark.parametrize("command", ["run", "size", "inspect", "quantize"])
    def test_control_characters(self, tmp_path: Path, command: str) -> None:
        """A file's name that would clear the screen is written with escapes, in errors and in results."""
        path = tmp_path / "x\x1b[2J\x9b.espalier"
        path.write_bytes(b"no Program")
        rest = ["-o", tmp_path / "o"] if command == "quantize" else []
        assert "/x\\x1b[2J\\x9b.espalier: is not an " in complaint(command, path, *rest)
        zoo.load("digits").save(path)
        done = espalier("inspect", path)
        assert done.status == 0
        assert "\x1b" not in done.out + done.err

    def test_tables_and_bars(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Tables and progress bars, which write control characters of their own, clean the names in them."""
        from rich.table import Table

        table = Table(title="t\x1b[2J")
        table.add_column("c\x1b[2J")
        table.add_row("r\x1b[2J")
        console.console().print(table)
        console.console().print("line\x1b[2J")
        with progress.bar("what\x1b[2J", 1) as shown:
            shown.advance("note\x1b[2J")
        assert capsys.readouterr().out.count("\\x1b[2J") == 4

    def test_a_stream_that_is_full(self) -> None:
        """A full disk under standard output is a line, and not two."""
        with open("/dev/full", "w") as full:
            words = [*program_text(), "info"]
            done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment())
        assert (done.returncode, done.stderr) == (2, "espalier: No space left on device\n")


HEAVY = ("numpy", "numba", "amaranth", "matplotlib", "rich", "jinja2", "joblib", "torch", "accel.program", "sim", "rtl")


@pytest.mark.parametrize("words", ["--help", "--version", "report"])
def test_help_imports_little(words: str) -> None:
    """Help and version need no array and no compiler; a command that works (negative control) does."""
    report = f"import atexit, sys; atexit.register(lambda: print([x for x in {HEAVY} if x in sys.modules]))"
    arguments = [*words.split(), *(["no-such-network"] if words == "report" else [])]
    done = espalier_process(*arguments, before=report)
    assert (done.out.splitlines()[-1] == "[]") is (words != "report")

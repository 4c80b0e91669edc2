"""Terminals and pipes: numbers alone on standard output, tables that leave no digit out, lines of progress, advice."""

import csv
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.table import Table
from support.commandline import complaint, espalier

from accel.program import Program
from reports.shared import console, progress, resuming


class TestStandardOutput:
    @pytest.mark.parametrize(
        "words", [("size", "digits"), ("inspect", "{program}"), ("run", "{program}", "--images", "5")]
    )
    def test_json(self, program: Path, words: tuple[str, ...]) -> None:
        """`--json -` gives what `--json FILE` gives, and nothing else; the rest goes to standard error."""
        words = tuple(word.format(program=program) for word in words)
        done = espalier(*words, "--json", "-")
        assert done.status == 0
        found = json.loads(done.out)
        plain = espalier(*words, "--json", program.parent / "x.json")
        expected = json.loads((program.parent / "x.json").read_text())
        for record in (found, expected):
            record.pop("images_per_second", None)
        assert found == expected
        assert plain.out.splitlines()[0].split(", ")[0] in done.err
        assert not list(Path().glob("-"))

    def test_csv(self) -> None:
        """So does `--csv -`, of which a spreadsheet makes rows: a layer each."""
        rows = list(csv.DictReader(io.StringIO(espalier("size", "digits", "--csv", "-").out)))
        assert [row["name"] for row in rows] == ["conv1", "conv2", "conv3", "fc4"]
        assert all(int(row["macs"]) > 0 for row in rows)

    def test_one_of_them(self) -> None:
        """Two kinds of numbers in one stream would be neither."""
        assert complaint("size", "digits", "--csv", "-", "--json", "-").endswith(
            "only one of them can be standard output"
        )

    @pytest.mark.slow
    def test_points_of_a_report(self, tmp_path: Path) -> None:
        """A report's points are those of its folder."""
        words = ("--bits", 4, "--patterns", "dense", "--images", 20, "--max-error", "90%", "-o", tmp_path)
        done = espalier("report", "digits", *words, "--csv", "-")
        assert done.out == (tmp_path / "results.csv").read_text()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Program of the digits."""
    path = tmp_path_factory.mktemp("made") / "p.espalier"
    assert espalier("quantize", "digits", "-o", path).status == 0
    return path


class TestInspect:
    def test_a_program(self, program: Path) -> None:
        """It says what the file is, and what can be done with it."""
        *_, what, following = espalier("inspect", program).out.splitlines()
        kind = rf"{program}: a Program \(integers\), dense, 8-bit weights, \d+\.\d\d KiB"
        assert re.fullmatch(rf"{kind}, images of 1 x 8 x 8, made with digits", what)
        assert following == f"Next: espalier run {program}, or espalier verify {program} --array 8x8"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class TestTables:
    def wide(self) -> Table:
        """Return a table of twelve columns of large numbers, with a section."""
        table = Table(title="many")
        table.add_column("layer")
        for number in range(12):
            table.add_column(f"column {number}", justify="right")
        for row in range(3):
            table.add_row(f"layer {row}", *(f"{10**8 + 1_000 * row + number:,}" for number in range(12)))
        return table

    @pytest.mark.parametrize("width", [40, 80, 100])
    def test_no_digit_is_left_out(self, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
        """A table wider than the terminal is printed in parts, each with the rows' names; every number is whole."""
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", Terminal())
        console.console().print(self.wide())
        text = re.sub(r"\x1b\[[0-9;]*m", "", sys.stdout.getvalue())
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= width
        for row in range(3):
            assert all(f"{10**8 + 1_000 * row + number:,}" in text for number in range(12))
        assert text.count("layer 1") == len(console.fitting(self.wide(), width)) > 1

    def test_rich_alone_leaves_digits_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Negative control: the same table printed as it is."""
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr(sys, "stdout", Terminal())
        super(console._Console, console.console()).print(self.wide())
        assert "…" in sys.stdout.getvalue()

    def test_what_fits_stays_whole(self) -> None:
        """A narrow table is printed as it was made."""
        table = console.plain_table(("a", "b"), [("x", "1")])
        assert console.fitting(table, 80) == [table]


class TestProgress:
    def lines(self, monkeypatch: pytest.MonkeyPatch, seconds: str, step: float) -> list[str]:
        """Return the lines of 10 steps, each of so many seconds."""
        now = [0.0]
        monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
        monkeypatch.setenv("ESPALIER_PROGRESS", seconds)
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        with progress.bar("work", 10) as shown:
            for number in range(10):
                now[0] += step
                shown.advance(f"note {number}")
        return sys.stderr.getvalue().splitlines()

    def test_lines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a pipe there is a line after 10 s and after as many again, with what is done and left."""
        found = self.lines(monkeypatch, "10", 4.0)
        assert found == [
            "work: 3 of 10, about 28 s left; note 2",
            "work: 6 of 10, about 16 s left; note 5",
            "work: 9 of 10, about 4 s left; note 8",
        ]

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Short work says nothing; nor does any if it was asked not to."""
        assert self.lines(monkeypatch, "10", 0.9) == []
        assert self.lines(monkeypatch, "0", 40.0) == []

    def test_quiet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker's own bars are not seen, because the command has one that counts what workers do."""
        with progress.quiet():
            assert self.lines(monkeypatch, "10", 4.0) == []
        assert len(self.lines(monkeypatch, "10", 4.0)) == 3


def test_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be said of a stop: the command itself, or the option that would have kept what was done."""
    monkeypatch.setattr(resuming, "_advice", [])
    assert resuming.advice() == ""
    monkeypatch.setattr(sys, "argv", ["x", "explore", "digits", "-o", "my folder"])
    resuming.same_command()
    assert resuming.advice() == "the same command goes on where it was: espalier explore digits -o 'my folder'"
    resuming.with_option("--checkpoint FOLDER")
    assert resuming.advice() == "nothing was kept; with --checkpoint FOLDER the same command would go on where it was"


class TestWordiness:
    def test_quiet(self, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`-q` leaves the results alone and takes the notes away."""
        words = ("rtl", program.parent / "own.espalier", "--array", "2x2", "-o", program.parent / "rtl")
        loaded = Program.load(program)
        replace(loaded, data="").save(program.parent / "own.espalier")
        usual, quiet = espalier(*words), espalier(*words, "-q")
        assert "note: " in usual.err
        assert (quiet.status, quiet.out, quiet.err) == (0, usual.out, "")

    def test_verbose(self, tmp_path: Path) -> None:
        """`-v` tells every step, how far it is and what it took in the end."""
        words = ("report", "digits", "--bits", 4, "--patterns", "dense", "--images", 20, "--jobs", 1, "-o", tmp_path)
        usual, verbose = espalier(*words), espalier(*words, "--verbose")
        assert usual.err == ""
        assert re.fullmatch(r"digits: 1 of 1, \d+\.\d s; dense, float: error [\d.]+%\n", verbose.err)
        assert espalier(*words).err == ""  # and no command after it does
        command = json.loads((tmp_path / "results.json").read_text())
        assert "verbose" not in json.dumps(command)

    def test_not_both(self, program: Path) -> None:
        """Both at once is a contradiction."""
        assert complaint("run", program, "-q", "-v").endswith("only one of them can be")


def test_older_names(program: Path) -> None:
    """Options that had other names are still found by them; help tells the new ones."""
    assert espalier("run", program, "--threads", 1, "--images", 5).status == 0
    told = espalier("run", "--help").out
    assert ("--jobs" in told, "--threads" in told) == (True, False)

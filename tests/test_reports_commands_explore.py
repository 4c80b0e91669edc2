"""`espalier explore` as a whole: what it writes and says, stopped and resumed, and everything that can be wrong."""

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support.commandline import complaint, contents, environment, espalier, program_text, write_mnist

from accel.array import MacArray
from accel.cost import estimate, total_cycles
from accel.demand import array_for
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.quantize import Widths, lower, ordered_for
from reports.explore.results import Results
from reports.shared.cache import FILE as STORE
from reports.shared.store import opened
from reports.workflow import evaluate
from reports.workflow.sources import source_of
from sim.engine import compile_program

NETWORK = ("explore", "digits")
SMALL = (*NETWORK, "--patterns", "kernel", "--weight-bits", "3,6", "--signal-bits", 4, "--arrays", "4x4,8x2")
TRIALS = 2 * (2 + 1)  # versions, at two pairs of word lengths and in float
KILLS = 10
KILLED = os.environ.get("ESPALIER_KILLED", "digits")  # the network whose exploration is killed
FILES = {
    "results.json",
    "explore.html",
    *(f"{x}.{k}" for x in ("pareto", "patterns", "widths", "arrays") for k in ("png", "svg")),
}
DELIVERED = {"network.espalier", "program.espalier", "reproduce.sh"}


def cache_of(folder: Path) -> Path:
    """Return the cache of the exploration that writes to `folder`: beside it."""
    return folder.parent / "cache"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an exploration; what it printed is beside it."""
    out = tmp_path_factory.mktemp("explore") / "new" / "folder"
    done = espalier(*SMALL, "--max-error", "+3%", "--jobs", 1, "--out", out, "--cache", cache_of(out))
    assert (done.status, done.err) == (0, "")
    (out.parent / "printed.txt").write_text(done.out)
    return out


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    """Return what that exploration wrote."""
    return Results.from_json((folder / "results.json").read_text())


class TestWhatItFinds:
    @pytest.mark.slow
    def test_files(self, folder: Path) -> None:
        """Results, page, figures, what is recommended; in the cache the store for next time; nothing else."""
        assert set(contents(folder)) == {*FILES, *DELIVERED}
        assert set(contents(cache_of(folder))) == {STORE}

    def test_every_design(self, results: Results) -> None:
        """Every version at every pair of word lengths on every array."""
        assert [(p.version, p.weight_bits, p.lanes) for p in results.points] == [
            (version, bits, lanes) for version in ("dense", "kernel") for bits in (3, 6) for lanes in ((4, 4), (8, 2))
        ]

    def test_measured_and_counted(self, results: Results) -> None:
        """Errors are those of the engine on all validation images, memory and cycles those of the Program."""
        validation = datasets.load("digits", "validation")
        calibration = source_of("digits", zoo.load("digits"), None, None).calibration().pixels()
        for point in results.points[::3]:
            program = lower(zoo.load("digits", point.version), Widths(*point.setting[1:3]), calibration)
            program = ordered_for(program, point.output_lanes, split=point.pixel_lanes > 1)
            codes = program.input_signal.encode(validation.pixels())
            assert point.error_rate == compile_program(program).error_rate(codes, validation.labels)
            array = array_for(program, *point.lanes)
            assert point.memory_bits == estimate(program, array).memory_bits
            assert point.cycles == total_cycles(program, array)
        assert len({(p.memory_bits, p.cycles) for p in results.points}) > 4  # negative control: they differ

    def test_the_test_images(self, results: Results) -> None:
        """The recommended design, and the float network, are judged by the test images too: only in the end."""
        chosen, test = results.recommended, datasets.load("digits", "test")
        assert chosen is not None
        assert results.verified is not None
        calibration = source_of("digits", zoo.load("digits"), None, None).calibration().pixels()
        program = lower(zoo.load("digits", chosen.version), Widths(*chosen.setting[1:3]), calibration)
        program = ordered_for(program, chosen.output_lanes, split=chosen.pixel_lanes > 1)
        codes = program.input_signal.encode(test.pixels())
        assert results.verified.test_rate == compile_program(program).error_rate(codes, test.labels)
        assert results.verified.reference_rate == evaluate.float_error_rate(zoo.load("digits"), test)
        assert results.verified.estimate["memory_bits"] == chosen.memory_bits
        assert results.verified.estimate["cycles"] == chosen.cycles == total_cycles(program, MacArray(*chosen.lanes))

    def test_limits(self, results: Results) -> None:
        """+3 % is so much more than the dense float network errs on the validation images."""
        rate = evaluate.float_error_rate(zoo.load("digits"), datasets.load("digits", "validation"))
        assert results.reference.float_rate == rate
        assert results.budget.error_rate == pytest.approx(rate + 0.03)

    def test_what_it_prints(self, folder: Path) -> None:
        """The answer first, then what was done and where it lies."""
        lines = (folder.parent / "printed.txt").read_text().splitlines()
        assert lines[0].startswith("What to build: digits ")
        assert lines[-3].startswith(f"0 results were there, {TRIALS + 2} were made in ")
        told = "explore.html, results.json, network.espalier, program.espalier, reproduce.sh and figures"
        assert lines[-2] == f"Written to {folder}: {told}."
        assert lines[-1].startswith(f"Next: espalier verify {folder}/program.espalier --array ")


class TestAgain:
    @pytest.mark.slow
    def test_nothing_is_measured_again(self, folder: Path, tmp_path: Path) -> None:
        """The same exploration, in whichever folder, finds everything there and writes the same bytes."""
        before = contents(folder)
        done = espalier(*SMALL, "--max-error", "+3%", "--jobs", 1, "--out", tmp_path, "--cache", cache_of(folder))
        assert f"{TRIALS + 2} results were there, 0 were made" in done.out
        after = contents(tmp_path)
        assert {name: after[name] for name in FILES} == {name: before[name] for name in FILES}

    @pytest.mark.slow
    def test_another_question(self, folder: Path, tmp_path: Path) -> None:
        """Other limits and arrays need no new error rate, or only that of another design on the test images."""
        words = (
            "--max-error",
            "50%",
            "--arrays",
            "2x2",
            "--min-fps",
            1,
            "--goal",
            "accurate",
            "--json",
            tmp_path / "x.json",
        )
        done = espalier(*SMALL, *words, "--jobs", 1, "--out", tmp_path / "out", "--cache", cache_of(folder))
        assert (done.status, done.err) == (0, "")
        assert "results were there" in done.out
        assert int(done.out.split(" results were there, ")[1].split(" ")[0]) <= 1
        record = json.loads((tmp_path / "x.json").read_text())
        assert (record["recommended"]["output_lanes"], record["recommended"]["pixel_lanes"]) == (2, 2)
        assert record["words"][0].startswith("What to build: ")

    def test_draw(self, folder: Path, tmp_path: Path) -> None:
        """Page and figures are made from results.json alone."""
        (tmp_path / "results.json").write_bytes((folder / "results.json").read_bytes())
        assert espalier(*NETWORK, "--draw", "--out", tmp_path).status == 0
        assert contents(tmp_path) == {name: (folder / name).read_bytes() for name in FILES}

    @pytest.mark.slow
    def test_versions_that_are_made(self, tmp_path: Path) -> None:
        """Ratios give versions of their own; one that cannot be is told, and the others are explored."""
        words = ("--patterns", "feature-map", "--ratios", "0.5,0.99", "--retrain", 0, "--weight-bits", 6)
        done = espalier(*NETWORK, *words, "--signal-bits", 6, "--arrays", "4x4", "--jobs", 1, "--out", tmp_path)
        assert (done.status, done.err) == (0, "")
        found = Results.from_json((tmp_path / "results.json").read_text())
        made = {row.name: row for row in found.versions}
        assert [*made] == ["dense", "feature-map", "feature-map 0.5", "feature-map 0.99"]
        assert [row.left_out for row in made.values()] == [False, False, False, True]
        assert made["feature-map 0.5"].made == "pruned"
        assert {p.version for p in found.points} == {"dense", "feature-map", "feature-map 0.5"}
        assert "feature-map 0.99 is left out" in (tmp_path / "explore.html").read_text()

    @pytest.mark.slow
    def test_nothing_fits(self, folder: Path, tmp_path: Path) -> None:
        """Then it is told what it would take; nothing is looked up on test images; all is written, the status is 1."""
        done = espalier(*SMALL, "--sram", "1KiB", "--jobs", 1, "--out", tmp_path / "out", "--cache", tmp_path)
        assert (done.status, done.err) == (1, "")
        assert set(contents(tmp_path / "out")) == FILES
        assert done.out.startswith("Nothing fits.\n")
        assert "\nIt would take " in done.out
        assert re.search(r"memory KiB +at most 1\.00 +\d+\.\d\d +-\d", done.out)  # what is missing
        assert f"{TRIALS} were made" in done.out


def rows(store: Path) -> int:
    """Return how many results a store has, as another process sees it."""
    if not store.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            found = int(connection.execute("SELECT count(*) FROM results").fetchone()[0])
        connection.close()
    except sqlite3.OperationalError:  # it is being made
        return 0
    return found


class TestKilled:
    WORDS = ("--weight-bits", "2..8", "--signal-bits", "2..8", "--patterns", "kernel,ikss", "--arrays", "4x4,8x8")
    WORDS = (*WORDS, "--images", "250")  # all of the digits, a few of MNIST

    @pytest.mark.slow
    def test_resumed(self, tmp_path: Path) -> None:
        """Killed again and again at random moments, the results are those of a run that nobody stopped, byte for byte.

        Each time at most the results in flight are lost: one for each job.
        """
        rng = random.Random(6)
        network, killed, whole = ("explore", KILLED, *self.WORDS), tmp_path / "killed", tmp_path / "whole"
        deaths = 0
        for attempt in range(KILLS):
            jobs = 2 if attempt % 5 == 4 else 1
            places = "--out", str(killed), "--cache", str(tmp_path)
            command = [*program_text(), *network, "--jobs", str(jobs), *places]
            before = rows(tmp_path / STORE)
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment()) as run:
                wanted = before + rng.randrange(12)
                while rows(tmp_path / STORE) < wanted and run.poll() is None:
                    time.sleep(0.01)
                time.sleep(rng.random() * 0.1)  # so short that ten of them do not reach the end on a fast machine
                run.kill()
            deaths += run.returncode == -signal.SIGKILL
            assert rows(tmp_path / STORE) >= before
        assert deaths == KILLS
        there = rows(tmp_path / STORE)
        done = espalier(*network, "--jobs", 1, "--out", killed, "--cache", tmp_path)
        assert (done.status, done.err) == (0, "")
        total = 3 * (49 + 1) + 2
        assert f"{there} results were there, {total - there} were made" in done.out
        assert 0 < there < total
        assert espalier(*network, "--jobs", 2, "--out", whole, "--cache", whole / "cache").status == 0
        assert (killed / "results.json").read_bytes() == (whole / "results.json").read_bytes()
        assert {*contents(killed), "cache", f"cache/{STORE}"} == {*contents(whole)}

    @pytest.mark.slow
    def test_a_row_matters(self, folder: Path, tmp_path: Path) -> None:
        """A changed error rate is measured again, with a note; negative control: sealed anew it makes other results."""
        store = tmp_path / STORE
        store.write_bytes((cache_of(folder) / STORE).read_bytes())
        with sqlite3.connect(store) as connection:
            found: list[tuple[str, bytes]] = connection.execute("SELECT key, value FROM results").fetchall()
            key, value = next(row for row in found if b'"words"' in row[1])
            changed: dict[str, Any] = json.loads(value) | {"rate": 0.987}
            other = json.dumps(changed).encode()
            connection.execute("UPDATE results SET value = ? WHERE key = ?", (other, key))
        connection.close()
        again = espalier(*SMALL, "--max-error", "+3%", "--jobs", 1, "--out", tmp_path, "--cache", tmp_path)
        assert (again.status, again.err.count("note: "), again.err.count("\n")) == (0, 1, 1)
        assert f"{store}: 1 of " in again.err
        assert (tmp_path / "results.json").read_bytes() == (folder / "results.json").read_bytes()
        with opened(store) as believed, sqlite3.connect(store) as connection:
            connection.execute("DELETE FROM results WHERE key = ?", (key,))
            connection.commit()
            believed.add(key, other)
        connection.close()
        assert espalier(*SMALL, "--max-error", "+3%", "--jobs", 1, "--out", tmp_path, "--cache", tmp_path).status == 0
        assert (tmp_path / "results.json").read_bytes() != (folder / "results.json").read_bytes()
        assert "0.987" in (tmp_path / "results.json").read_text()


class TestBadInput:
    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (("--technology", "asic"), "unknown technology 'asic': did you mean 'asic-45nm'?"),
            (("--technology", "none.toml"), "none.toml: No such file or directory"),
            (("--dram-bandwidth", "-1MB/s"), "--dram-bandwidth -1MB/s: expected a bandwidth above 0"),
            (("--dram-bandwidth", "0MB/s"), "--dram-bandwidth 0MB/s: expected a bandwidth above 0"),
            (("--sram", "12"), "--sram 12: expected a size such as 64KiB"),
            (("--sram", "-1KiB"), "--sram -1KiB: expected a size such as 64KiB"),
            (("--sram", "0KiB"), "--sram: memory_bits must be above 0, got 0"),
            (("--max-error", "1"), "--max-error 1: expected +1%"),
            (("--max-error", "few"), "--max-error few: expected +1%"),
            (("--max-error", "-1%"), "--max-error -1%: expected +1%"),
            (("--ratios", "1.5"), "--ratios 1.5: expected numbers between 0 and 1"),
            (("--ratios", "half"), "--ratios half: expected numbers between 0 and 1"),
            (("--dsp", "0"), "Invalid value for '--dsp'"),
            (("--min-fps", "-3"), "Invalid value for '--min-fps'"),
            (("--min-fps", "nan"), "--min-fps: images_per_s must be above 0, got nan"),
            (("--clock", "fast"), "--clock fast: expected a frequency above 0"),
            (("--arrays", "8"), "--arrays 8: expected output lanes x pixel lanes"),
            (("--arrays", "4x3"), "pixel_lanes must be a power of two, got 3"),
            (("--weight-bits", "1..3"), "--weight-bits 1..3: expected a range within 2..16"),
            (("--signal-bits", "x"), "--signal-bits x: expected a range within 2..16"),
            (("--patterns", "krnel"), "unknown pattern of digits in the zoo 'krnel': did you mean 'kernel'?"),
            (("--patterns", ""), "--patterns : expected names with commas"),
            (("--goal", "fastest"), "unknown goal 'fastest': did you mean 'fast'?"),
            (("--retrain", "2"), "--retrain 2: no version is made here"),
            (("--images", "251"), "digits (validation): count must be 1..250, got 251"),
            (("--jobs", "0"), "Invalid value for '--jobs'"),
            (("--backend", "threads"), "unknown backend 'threads'"),
            (("--json", "none/x.json"), "cannot write to none/x.json: No such file or directory"),
        ],
    )
    def test_words(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], line: str) -> None:
        """What means nothing is told in one line before anything is measured or written."""
        monkeypatch.chdir(tmp_path)
        assert complaint(*NETWORK, *words).startswith(line)
        assert contents(tmp_path) == {}

    def test_network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A network that there is none of, or a file that is none."""
        monkeypatch.chdir(tmp_path)
        assert complaint("explore", "digts").startswith("unknown network 'digts': did you mean 'digits'?")
        (tmp_path / "x.espalier").write_text("no network")
        assert complaint("explore", "x.espalier").startswith("x.espalier: is not an Espalier file")
        assert set(contents(tmp_path)) == {"x.espalier"}

    def test_a_place_that_cannot_be(self, tmp_path: Path) -> None:
        """A folder inside a file."""
        (tmp_path / "file").write_text("")
        line = complaint(*SMALL, "--out", tmp_path / "file" / "folder")
        assert line.startswith(f"cannot write to {tmp_path / 'file' / 'folder'}: ")
        assert contents(tmp_path) == {"file": b""}

    def test_no_store(self, tmp_path: Path) -> None:
        """Something else where the store would be."""
        store = tmp_path / STORE
        store.write_text("no store" * 100)
        assert complaint(*SMALL, "--out", tmp_path / "out", "--cache", tmp_path).startswith(f"{store}: ")
        assert contents(tmp_path) == {STORE: b"no store" * 100}

    def test_nothing_to_draw(self, tmp_path: Path) -> None:
        """No results, or those of something else."""
        assert complaint(*NETWORK, "--draw", "--out", tmp_path).startswith(f"cannot read {tmp_path / 'results.json'}: ")
        (tmp_path / "results.json").write_text("{}")
        line = complaint(*NETWORK, "--draw", "--out", tmp_path)
        assert line.startswith(f"{tmp_path / 'results.json'}: not the results of an exploration: ")

    def test_other_images(self, tmp_path: Path) -> None:
        """A network whose images are of another shape."""
        dense = zoo.load("digits")
        type(dense)(dense.network, data="mnist").save(tmp_path / "x.espalier")
        write_mnist(tmp_path)
        line = complaint("explore", tmp_path / "x.espalier", "--data-dir", tmp_path, "--out", tmp_path / "out")
        assert line.endswith("takes images of shape (1, 8, 8), those of mnist have (1, 28, 28)")

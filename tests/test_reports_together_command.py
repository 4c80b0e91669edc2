"""`espalier explore A B`: one command, one array, a folder for each network; what it says and when it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import Outcome, complaint, contents, espalier
from support.delivering import redone
from support.shared_arrays import sketch

import espalier as esp
from accel.cost import total_cycles
from accel.demand import array_for
from accel.program import Program
from reports.commands import together as together_command
from reports.explore.results import Results
from reports.together.results import Shared
from reports.workflow.delivery import FILES, NETWORK, PROGRAM, SCRIPT

ASKED = ("--patterns", "kernel", "--ratios", 0.5, "--retrain", 0, "--weight-bits", "4,8", "--signal-bits", 5)
WORDS = (*ASKED, "--arrays", "2x2,4x2", "--jobs", 1, "--max-error", "100%", "--shares", "3,1")
NAMES = ("net", "net-2")


@pytest.fixture(scope="module", autouse=True)
def undrawn() -> Iterator[None]:
    """Draw nothing, which takes seconds and is no matter here."""
    with pytest.MonkeyPatch.context() as patch:
        for figures in (together_command.figures, together_command.own_figures):
            patch.setattr(figures, "render", lambda results: {})
        for name in ("page", "own_page"):
            patch.setattr(together_command, name, lambda *results, **how: b"")
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two networks of one name in folders of their own, each with its images."""
    folder, rng = tmp_path_factory.mktemp("work"), np.random.default_rng(0)
    for name, of in (("a", "wide"), ("b", "tall")):
        pruned = sketch(of)
        images = rng.integers(0, 256, (60, *pruned.network.input_shape)).astype(np.uint8)
        (folder / name).mkdir()
        np.savez(folder / name / "mine.npz", images=images, labels=np.arange(60) % 3)
        pruned.save(folder / name / "net.espalier")
    return folder


def networks(work: Path) -> list[Path]:
    """Return both files."""
    return [work / name / "net.espalier" for name in ("a", "b")]


def data(work: Path) -> list[object]:
    """Return what says where the images of each are."""
    return ["--data", work / "a" / "mine.npz", "--data", work / "b" / "mine.npz"]


def explored(work: Path, out: Path, *more: object) -> Outcome:
    """Explore both."""
    return espalier("explore", *networks(work), *WORDS, *data(work), "-o", out, *more)


@pytest.fixture(scope="module")
def done(work: Path) -> Outcome:
    """Return what the command said, with the hardware, and everything in `out`."""
    return explored(work, work / "out", "--rtl", "--json", work / "answer.json", "--csv", work / "rows.csv")


@pytest.fixture(scope="module")
def shared(work: Path, done: Outcome) -> Shared:
    """Return the results that it wrote."""
    assert done.status == 0, done.err
    return Shared.from_json((work / "out" / "results.json").read_text())


@pytest.mark.slow
class TestFolder:
    def test_files(self, work: Path, shared: Shared) -> None:
        """A folder for each network, though their files have one name: its own results, and its part of the design."""
        assert shared.names == NAMES
        for name in NAMES:
            assert {*FILES, "results.json", "explore.html"} <= {*contents(work / "out" / name)}
            own = Results.from_json((work / "out" / name / "results.json").read_text())
            assert own.recommended == next(row.alone for row in shared.networks if row.name == name)
        assert len(json.loads((work / "answer.json").read_text())["networks"]) == 2
        assert (work / "rows.csv").read_text() == shared.to_csv()

    def test_what_is_written_is_what_was_sized(self, work: Path, shared: Shared) -> None:
        """The Programs need the very array, bit for bit, take the very cycles, and the hardware has its memories."""
        assert shared.chosen
        programs = [Program.load(work / "out" / name / PROGRAM) for name in NAMES]
        array = array_for(programs, *shared.chosen.lanes)
        assert array.built_bits == shared.chosen.built_bits
        cycles = [total_cycles(program, array) for program in programs]
        assert cycles == [member.cycles for member in shared.chosen.members]
        manifest = json.loads((work / "out" / "rtl" / "manifest.json").read_text())
        assert sum(manifest["built_bits"].values()) == shared.chosen.built_bits
        assert [job["cycles"] for job in manifest["jobs"]] == cycles
        assert array_for(programs[0], *shared.chosen.lanes).built_bits < array.built_bits  # negative control

    def test_the_same_bytes_again(self, work: Path, shared: Shared, tmp_path: Path) -> None:
        """The script of each network makes its files again."""
        for place, name in zip("ab", NAMES, strict=True):
            folder, given = work / "out" / name, {"NETWORK": work / place / "net.espalier"}
            found = redone((folder / SCRIPT).read_text(), tmp_path / name, **given, DATA=work / place / "mine.npz")
            assert found == {x: (folder / x).read_bytes() for x in (NETWORK, PROGRAM)}

    def test_the_next_command(self, work: Path, done: Outcome, shared: Shared) -> None:
        """It names both Programs and the images of each, and proves the hardware."""
        assert shared.chosen
        *words, last = done.out.splitlines()[-1].removeprefix("Next: ").split()
        programs = [f"{work}/out/{name}/{PROGRAM}" for name in NAMES]
        lanes = "{}x{}".format(*shared.chosen.lanes)
        assert words == ["espalier", "verify", *programs, "--array", lanes, *map(str, data(work)[:-1])]
        verified = espalier(*words[1:], last, "--images", 1)
        assert verified.status == 0
        assert verified.out.count(" 0 differences") == 2

    def test_nothing_is_measured_again(self, work: Path, shared: Shared, tmp_path: Path) -> None:
        """Another folder gets the same bytes from the cache, a program the same results; `--draw` changes nothing."""
        again = explored(work, tmp_path / "again")
        assert ", 0 were made in" in again.out
        before = (work / "out" / "results.json").read_bytes()
        assert (tmp_path / "again" / "results.json").read_bytes() == before
        assert espalier("explore", *networks(work), "--draw", "-o", tmp_path / "again").status == 0
        assert (tmp_path / "again" / "results.json").read_bytes() == before
        names: list[str] = [str(path) for path in networks(work)]
        asked: dict[str, Any] = {"patterns": "kernel", "ratios": "0.5", "retrain": 0, "weight_bits": "4,8", "jobs": 1}
        asked |= {
            "signal_bits": "5",
            "arrays": "2x2,4x2",
            "max_error": "100%",
            "data": [str(x) for x in data(work)[1::2]],
        }
        found = esp.explore(names, shares=[3, 1], **asked)
        assert found == shared
        other = esp.explore(names, shares=[1, 3], **asked)  # negative control: shares matter
        assert found.chosen
        assert other.chosen
        assert (other.chosen.cycles, other.networks[0].share) != (found.chosen.cycles, found.networks[0].share)

    def test_nothing_fits(self, work: Path, shared: Shared, tmp_path: Path) -> None:
        """A byte less memory than the smallest takes: exit status 1, the limit that is missed; no Program stays."""
        out = tmp_path / "out"
        assert explored(work, out, "--goal", "small").status == 0
        smallest = Shared.from_json((out / "results.json").read_text()).chosen
        assert smallest
        least = smallest.memory_bits
        assert (out / "net" / PROGRAM).exists()
        missed = explored(work, out, "--sram", f"{least // 8 - 1}B")
        assert missed.status == 1
        assert missed.out.startswith("Nothing fits.")
        assert f"{least / 8192:.2f} KiB of memory blocks would do" in missed.out
        assert not any((out / name / file).exists() for name in NAMES for file in FILES)


class TestRefused:
    """Everything that is wrong is one line, before any work."""

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (("digits", "digits"), "digits: is named twice; an array is shared by networks that differ"),
            (("digits", "--shares", "1"), "--shares 1: is of several networks, one is named"),
            (("digits", "lenet5", "--shares", "1"), "--shares 1: expected 2 numbers above 0, one for each network"),
            (("digits", "lenet5", *["--data", "digits"] * 3), "--data: is given 3 times for 2 networks; give it once"),
            (
                ("digits", "--data", "digits", "--data", "digits"),
                "--data: is given 2 times for 1 network; give it once",
            ),
            (("digits", "lenet"), "unknown network 'lenet'"),
            (("digits", "lenet5", "--draw"), "cannot read explore/digits+lenet5/results.json: No such file"),
        ],
    )
    def test_words(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], line: str) -> None:
        """The line says what was wrong and what would be right; nothing is written."""
        monkeypatch.chdir(tmp_path)
        assert complaint("explore", *words).startswith(line)
        assert not any(tmp_path.iterdir())

    def test_library(self) -> None:
        """Shares of one network are refused, and so is an unknown argument."""
        with pytest.raises(esp.EspalierError, match="shares: are of several networks"):
            esp.explore("digits", shares=[1.0])  # type: ignore[call-overload]
        with pytest.raises(esp.EspalierError, match="unknown argument of explore 'ram'"):
            esp.explore(["digits", "lenet5"], ram="64KiB")
        with pytest.raises(esp.EspalierError, match="two networks or more, got 1"):
            esp.explore(["digits"])

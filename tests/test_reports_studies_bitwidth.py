"""`espalier study bitwidth`: what its tables say is what the library gives; stopped and resumed; bad input."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.commandline import complaint, contents, espalier, espalier_process

pytest.importorskip("torch", reason="retraining needs PyTorch (extra train)")

from accel.cost import cost_of
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.quantize import Calibration, Widths, operands_of
from reports.studies.bitwidth import points
from reports.studies.bitwidth.definition import ALLOCATION, L2, RETRAINED, SEARCHED, Study, Target, Task
from reports.studies.bitwidth.index import index, main
from reports.studies.bitwidth.results import Point, Results
from reports.studies.files import POINTS
from reports.workflow.quantize import Workbench
from reports.workflow.sources import source_of

COMMAND = ("study", "bitwidth", "digits", "--quick", "--jobs", 1, "--out")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a quick study that nobody stopped."""
    folder = tmp_path_factory.mktemp("study")
    assert espalier(*COMMAND, folder).status == 0
    return folder


@pytest.fixture(scope="module")
def results(whole: Path) -> Results:
    """Return what that study found."""
    return Results.from_json((whole / "results.json").read_text())


class TestResults:
    @pytest.mark.slow
    def test_every_point(self, results: Results) -> None:
        """Two methods at seven widths, a search, a retraining, an allocation, and seven operands at seven widths."""
        assert len(results.points) == 2 * 7 + 1 + 1 + 1 + 7 * 7
        assert len(operands_of(zoo.load("digits"))) == 7

    def test_a_point_is_what_the_engine_says(self, results: Results) -> None:
        """Error rate and memory of uniform widths are those of the Program that the library lowers."""
        images = source_of("digits", zoo.load("digits"), None, None).calibration().pixels()
        test = datasets.load("digits", "test")
        bench = Workbench(Calibration(zoo.load("digits"), images), test)
        for bits in (2, 5):
            (point,) = results.uniform("dense", L2)[bits, bits]
            program = bench.lowered(Widths(bits, bits))
            assert point.error_rate == bench.error_rate(program)
            assert point.values["memory_bits"] == cost_of(program).memory_bits
        two, five = (results.uniform("dense", L2)[bits, bits][0].error_rate for bits in (2, 5))
        assert two > five  # negative control: widths matter here

    def test_allocated_widths(self, results: Results) -> None:
        """They take no more memory than the uniform ones, and err no more on the images that decide."""
        ((chosen, uniform),) = results.allocations("dense")
        assert chosen.values["memory_bits"] <= chosen.values["budget_bits"] == uniform.values["memory_bits"]
        assert chosen.values["rates"]["judged"] <= uniform.values["rates"]["judged"]
        assert len(chosen.values["widths"]) == 7

    def test_a_search_is_no_worse(self, results: Results) -> None:
        """Searched steps err no more than those of l2 on the images that decide."""
        searched, plain = (results.uniform("dense", method)[3, 3][0] for method in (SEARCHED, L2))
        assert searched.values["rates"]["judged"] <= plain.values["rates"]["judged"]

    def test_the_front(self, results: Results) -> None:
        """Along it memory rises and the error falls; no point is better than one of it in both."""
        front = [(p.values["memory_bits"], p.error_rate) for p in results.front()]
        assert front == sorted(front)
        assert [rate for _, rate in front] == sorted((rate for _, rate in front), reverse=True)
        for point in results.points:
            if "memory_bits" in point.values:
                here = point.values["memory_bits"], point.error_rate
                assert any(bits <= here[0] and rate <= here[1] for bits, rate in front)

    def test_the_file(self, results: Results) -> None:
        """What is written reads the same; another version or something else is refused."""
        text = results.to_json()
        assert Results.from_json(text) == results
        for wrong in (text.replace('"version": 2', '"version": 3', 1), "[]", "{"):
            with pytest.raises(EspalierError):
                Results.from_json(wrong)


def study_of_targets(*targets: Target) -> Results:
    """Return a study of a network that was retrained with three seeds, to 2, 3 and 4 %, 32 times smaller."""
    points = tuple(
        Point(
            Task("uniform", "kernel", RETRAINED, 3, 4, "", seed, 1, 0, 10, "v"),
            {"rates": {"test": rate}, "parameter_bits": 100, "memory_bits": 300, "emulated_images": 100},
        )
        for seed, rate in enumerate((0.02, 0.03, 0.04))
    )
    rates = {"dense": {"test": 0.01}, "kernel": {"test": 0.015}}
    definition = {"targets": [asdict(target) for target in targets]}
    return Results("n", "d", definition, rates, {"test": 100}, 3200, {"dense": 0.0, "kernel": 0.5}, points)


def test_outcomes_literally() -> None:
    """A target's rise is the mean of the seeds over the dense float network; sizes compare with 32-bit weights."""
    outcome = study_of_targets().outcome(Target("kernel", 3, 4, 0.003))
    np.testing.assert_allclose(outcome, (0.02, 0.01, 0.03, 32))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (Target("kernel", 3, 4, 0.02), "met"),
        (Target("kernel", 3, 4, 0.003), "missed by 1.70 %"),
        (Target("kernel", 3, 4, 0.02, smaller=33), "too large"),
    ],
)
def test_the_index_says_what_was_met(target: Target, told: str) -> None:
    """Means over the seeds decide, and sizes; what the emulation was compared on is added up."""
    text = index([study_of_targets(target)])
    assert f"| +2.00 % (+1.00 to +3.00), 3 | 32.0 times | **{told}** |" in text
    assert "Each of the 3 retrained Programs" in text
    assert "300 in all" in text


def test_the_index_of_a_folder(whole: Path, tmp_path: Path) -> None:
    """It has the allocation and the methods of every study in the folder; elsewhere there is nothing to write."""
    shutil.copytree(whole, tmp_path / "digits")
    assert CliRunner().invoke(main, [str(tmp_path)]).exit_code == 0
    text = (tmp_path / "README.md").read_text()
    assert "| digits | dense | " in text
    assert "KiB, 4 bits | " in text
    (point,) = Results.from_json((whole / "results.json").read_text()).uniform("dense", SEARCHED)[3, 3]
    assert f"| {100 * point.error_rate:.2f} % |" in text.split("## Methods")[1]


def test_the_page(whole: Path) -> None:
    """The page names its command and has every table; figures are there; drawing again changes nothing."""
    text = (whole / "README.md").read_text()
    assert "espalier study bitwidth digits --data-dir DATA --quick --out FOLDER" in text
    for words in ("| 2, 2 |", "**dense**, 0.0% gone", "| dense | 4 bits, ", "![Error rate against"):
        assert words in text
    before = contents(whole)
    assert espalier("study", "bitwidth", "digits", "--draw", "--out", whole).status == 0
    assert contents(whole) == before


STOP = """
import os, reports.shared.journal as j
add = j.Journal.add
def dying(self, record):
    if self.path.read_bytes().count(b"\\n") == {at} if self.path.exists() else False:
        with self.path.open("ab") as file:
            file.write(b'{{"task": {{"kin')
        os._exit(9)  # as if killed, in the middle of a line
    return add(self, record)
j.Journal.add = dying
"""


@pytest.mark.slow
def test_killed(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it writes a point, the same command measures the missing ones, and ends the same."""
    at = 60
    words = [str(word) for word in (*COMMAND, tmp_path)]
    assert espalier_process(*words, before=STOP.format(at=at)).status == 9
    measured: list[Task] = []
    measure_one = points.measured
    monkeypatch.setattr(points, "measured", lambda *x: measured.append(x[0]) or measure_one(*x))
    assert espalier(*COMMAND, tmp_path).status == 0
    lines = (whole / POINTS).read_text().splitlines()
    assert len(measured) == len(lines) - at
    assert contents(tmp_path) == contents(whole)
    assert {json.loads(line)["task"]["kind"] for line in lines} >= {ALLOCATION, "uniform", "sensitivity"}


def test_tasks_of_targets() -> None:
    """What a target asks for is retrained with all seeds, the rest with one."""
    study = Study("n", ("dense",), retrained=((3, 3), (3, 4)), targets=(Target("dense", 3, 4, 0.1),), seeds=3)
    tasks = [task for task in study.tasks({"dense": ()}, {"dense": "v"}) if task.method == RETRAINED]
    assert [(task.weight_bits, task.signal_bits, task.seed) for task in tasks] == [
        *((3, 4, seed) for seed in range(3)),
        (3, 3, 0),
    ]


def test_bad_input(tmp_path: Path) -> None:
    """A network without a study, and a folder without results, are told in one line; nothing is written."""
    line = complaint("study", "bitwidth", "digts", "--out", tmp_path / "o")
    assert line.startswith("unknown study 'digts': did you mean 'digits'?")
    assert complaint("study", "bitwidth", "digits", "--draw", "--out", tmp_path / "o").startswith("cannot read ")
    assert contents(tmp_path) == {}

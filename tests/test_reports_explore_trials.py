"""A trial is what the library gives by other ways, and is never taken for another one."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from accel.digest import digest_of
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import Dataset, load
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.words import Words
from reports.explore import trials
from reports.explore.trials import FLOAT, Trial, measured, words_of, words_record
from reports.workflow.evaluate import float_error_rate
from reports.workflow.images import Images
from reports.workflow.sources import source_of
from sim.engine import compile_program

PATTERN = "kernel"
SOURCE = source_of("digits", zoo.load("digits"), None, None)


@pytest.fixture(scope="module")
def pruned() -> PrunedNetwork:
    """Return a network of the zoo."""
    return zoo.load("digits", PATTERN)


@pytest.fixture(scope="module")
def calibration() -> Dataset:
    """Return training images."""
    return load("digits", "train").take(128)


@pytest.fixture(scope="module")
def judged() -> Dataset:
    """Return validation images."""
    return load("digits", "validation").take(100)


def trial_of(pruned: PrunedNetwork, calibration: Dataset, judged: Dataset, *bits: int) -> Trial:
    """Return the trial of a network at these word lengths."""
    return Trial(digest_of(pruned.to_bytes()), Images.of(calibration), Images.of(judged), *bits, input_bits=8)


@pytest.fixture(scope="module")
def program(pruned: PrunedNetwork, calibration: Dataset) -> Program:
    """Return the network lowered as `espalier quantize` does it."""
    return lower(pruned, Widths(3, 4), calibration.pixels())


@pytest.fixture(scope="module")
def result(pruned: PrunedNetwork, calibration: Dataset, judged: Dataset) -> dict[str, Any]:
    """Return what the trial at the same word lengths gave."""
    return dict(json.loads(measured(trial_of(pruned, calibration, judged, 3, 4), pruned.to_bytes(), SOURCE)))


class TestMeasured:
    def test_the_engine_says_the_same(self, program: Program, judged: Dataset, result: dict[str, Any]) -> None:
        """The error rate is that of the engine on the Program that the library lowers."""
        engine = compile_program(program)
        codes = program.input_signal.encode(judged.pixels())
        assert result["rate"] == engine.error_rate(codes, judged.labels)
        assert result["rate"] != engine.error_rate(codes, (judged.labels + 1) % 10)  # negative control

    def test_words(self, program: Program, result: dict[str, Any]) -> None:
        """Its word lengths are the Program's own, found again from the record by any Program of the same masks."""
        other = lower(zoo.load("digits", PATTERN), Widths(8, 8), load("digits", "train").take(16).pixels())
        found = words_of(result["words"], Words.of(other))
        assert found is not None
        assert words_record(found) == words_record(Words.of(program))
        assert words_record(found) != words_record(Words.of(other))  # negative control

    def test_words_of_another_network(self, program: Program, result: dict[str, Any]) -> None:
        """A record of other layers is not taken for this network's."""
        record = {"layers": {}, "signals": result["words"]["signals"]}
        assert words_of(record, Words.of(program)) is None

    def test_in_float(self, pruned: PrunedNetwork, calibration: Dataset, judged: Dataset) -> None:
        """No word lengths: the float network's rate, and no words."""
        trial = trial_of(pruned, calibration, judged, FLOAT, FLOAT)
        rate = float_error_rate(pruned, judged)
        assert json.loads(measured(trial, pruned.to_bytes(), SOURCE)) == {"rate": rate}

    def test_no_program(
        self, pruned: PrunedNetwork, calibration: Dataset, judged: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where no Program has such word lengths, why not is the result: other trials go on."""

        def refuse(*_: object) -> None:
            raise EspalierError("conv1: too wide")

        monkeypatch.setattr(trials, "lower_calibrated", refuse)
        trial = trial_of(pruned, calibration, judged, 3, 4)
        assert json.loads(measured(trial, pruned.to_bytes(), SOURCE)) == {"problem": "conv1: too wide"}


class TestImages:
    def test_found_again(self, judged: Dataset) -> None:
        """A worker loads by name the very images that the command meant."""
        again = Images.of(judged).load(SOURCE)
        assert (again.images == judged.images).all()
        assert (again.labels == judged.labels).all()

    @pytest.mark.parametrize("changes", [{"digest": "0" * 16}, {"count": 101}, {"count": 251}, {"split": "train"}])
    def test_others(self, judged: Dataset, changes: dict[str, Any]) -> None:
        """Other images than those are refused, however they came about."""
        with pytest.raises(EspalierError, match="a worker found other images than the command"):
            replace(Images.of(judged), **changes).load(SOURCE)

    def test_digest(self, judged: Dataset) -> None:
        """A pixel, a label or the scale makes another digest."""
        image, label = judged.images.copy(), judged.labels.copy()
        image[0, 0, 0, 0] ^= 1
        label[0] = (label[0] + 1) % 10
        others = [replace(judged, images=image), replace(judged, labels=label), replace(judged, full_scale=17)]
        assert len({Images.of(x).digest for x in [judged, *others]}) == 4
        assert Images.of(judged) == Images.of(replace(judged, images=judged.images.copy()))


class TestKey:
    def test_everything_that_decides(self, pruned: PrunedNetwork, calibration: Dataset, judged: Dataset) -> None:
        """Every field is part of the key: a trial that differs in one is another trial."""
        trial = trial_of(pruned, calibration, judged, 3, 4)
        changed = {
            "network": "other",
            "calibration": Images.of(judged),
            "judged": Images.of(calibration),
            "weight_bits": 4,
            "signal_bits": 5,
            "input_bits": 7,
            "method": 0,
            "layers": "conv1=3",
        }
        assert changed.keys() == {field.name for field in fields(Trial)}
        keys = {trial.key, *(replace(trial, **{name: value}).key for name, value in changed.items())}
        assert len(keys) == 1 + len(changed)
        assert trial.key == replace(trial).key

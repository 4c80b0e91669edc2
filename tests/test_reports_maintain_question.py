"""The study of answers: what it brings is what somebody brings, and its page says what came of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accel.interchange.data.datasets import Dataset, load
from accel.pruned import PrunedNetwork
from reports.maintain import question
from reports.shared.journal import results_of
from reports.workflow.sources import source_of

CHOSEN = {"version": "kernel 0.5", "weight_bits": 5, "signal_bits": 6, "output_lanes": 8, "pixel_lanes": 4}
ROW = {
    "holds": True,
    "more": 0.0025,
    "seconds": 90.0,
    "recommended": CHOSEN | {"memory_bits": 37 * 8192, "cycles": 3675},
    "confidence": 0.95,
    "test_rate": 0.1725,
    "reference_rate": 0.17,
    "same_bytes": True,
    "rtl": True,
}


def fashion(count: int) -> Dataset:
    """Return images of which each says its label: all its pixels have ten times its value."""
    labels = np.arange(count) % 10
    pixels = np.broadcast_to((10 * labels)[:, None, None, None], (count, 1, 28, 28)).astype(np.uint8)
    return replace(load("digits", "train"), images=pixels, labels=labels, full_scale=255)


class TestPrepare:
    @pytest.mark.slow
    def test_folders_and_network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Classes are folders with Fashion-MNIST's names, and the network learns the same classes as are read."""
        pytest.importorskip("torch", reason="the newcomer trains with PyTorch (extra train)")
        pytest.importorskip("onnx", reason="esp.from_torch needs ONNX (extra onnx)")
        monkeypatch.setattr(question, "IMAGES", {"train": 600, "validation": 40, "test": 50})
        question.prepare(tmp_path, {"train": fashion(700), "test": fashion(50)}, seed=3)
        network = PrunedNetwork.load(tmp_path / question.NETWORK)
        source = source_of("mine", network, str(tmp_path / question.PICTURES), None)
        found = {split: source.load(split) for split in ("train", "validation", "test")}
        assert [len(x) for x in found.values()] == [600, 40, 50]
        names = sorted(path.name for path in (tmp_path / question.PICTURES / "test").iterdir())
        assert tuple(names) == question.CLASSES
        test = found["test"]
        wanted = np.argsort(question.NAMES)[test.images[:, 0, 0, 0] // 10]  # a boot is 9, and the first of the names
        assert np.array_equal(test.labels, wanted)
        predicted = network.network.scores(test.pixels()).argmax(axis=1)
        assert (predicted != test.labels).mean() < 0.5  # it learns, and what it learns are those classes: by chance 0.9


class TestPage:
    def test_rows(self, tmp_path: Path) -> None:
        """A row a seed, in their order; how many hold stands above."""
        rows = {"10": ROW, "2": ROW | {"holds": False, "more": 0.0125, "rtl": None}}
        question._write(tmp_path, rows)
        text = (tmp_path / "README.md").read_text()
        assert "**1 of 2 answers hold**" in text
        lines = [line for line in text.splitlines() if line.startswith(("| 2 ", "| 10 "))]
        assert lines[0].startswith("| 2 | 17.00% | kernel 0.5 5/6 8x4 | 37.0 | 3,675 | 17.25% | +1.25% | no |")
        assert lines[1].endswith("| +0.25% | yes | 1.5 | yes | passes |")
        assert results_of(tmp_path, "seeds") == rows

    def test_nothing_fits(self, tmp_path: Path) -> None:
        """An answer that recommends nothing does not hold."""
        question._write(tmp_path, {"0": {"holds": False, "seconds": 60.0, "recommended": None, "confidence": 0.95}})
        assert "| 0 |  | nothing fits |" in (tmp_path / "README.md").read_text()

"""The study of onnxruntime's quantiser: its networks go all the way, and its page says what came of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.interchange.data.datasets import Dataset
from accel.pruned import PrunedNetwork
from reports.maintain import quantizer
from reports.maintain.quantizer import Case
from reports.shared.journal import results_of


def row(agreeing: int, equal: int, largest: int) -> dict[str, Any]:
    """Return what is measured of 200 images and two tensors, the first of them equal."""
    tensors = [{"name": "a", "words": 1000, "equal": 1000, "largest": 0}]
    tensors.append({"name": "b", "words": 1000, "equal": equal, "largest": largest})
    counts = {"images": 200, "agreeing": agreeing, "errors": 40, "file_errors": 39}
    return counts | {"changed": "none", "tensors": tensors, "alone": tensors[:1]}


class TestPage:
    def test_rows(self) -> None:
        """Shares are of all tensors, and of the worst; the least of a reading stands above."""
        rows = {
            Case("mobilenet", "QDQ", "per map", "32 bits"): row(200, 1000, 0),
            Case("mobilenet", "QDQ", "per map", "nearest"): row(199, 900, 3),
        }
        page = quantizer.page(rows)
        assert "32 bits: at least 100.00 % of classes agree and 100.00 % of codes, the others by at most 0;" in page
        assert "nearest: at least 99.50 % of classes agree and 95.00 % of codes, the others by at most 3;" in page
        nearest = (
            "| mobilenet | QDQ | per map | nearest | none | 95.00 % | 90.00 % | 3 | 100.00 % | 0 | 99.50 % | 20.00 % "
        )
        assert nearest in page

    def test_the_study_that_is_kept(self) -> None:
        """Its page is what its results say; with 32 bits at least 99 of 100 classes agree, alone no code is far off."""
        done = results_of(quantizer.STUDY, "cases")
        rows = {Case(*name.split(", ")): found for name, found in done.items()}
        assert quantizer.page(rows) == (quantizer.STUDY / "README.md").read_text()
        exact = [found for case, found in rows.items() if case.reading == "32 bits"]
        assert len(exact) >= 8
        assert all(found["images"] >= 2000 and found["agreeing"] >= 0.99 * found["images"] for found in exact)
        assert all(part["largest"] <= 1 for found in rows.values() for part in found["alone"])


@pytest.mark.slow
def test_a_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that lies in the folder is exported, quantised, imported and measured; and once is enough."""
    pytest.importorskip("torch", reason="PyTorch writes the files (extra train)")
    pytest.importorskip("onnxruntime", reason="onnxruntime quantises them (extra peers)")
    from accel.train import initialize

    monkeypatch.setattr(quantizer, "BLOCKS", quantizer.BLOCKS[:2])
    rng = np.random.default_rng(0)
    network = initialize(quantizer.mobilenet(), rng)
    PrunedNetwork(network).save(tmp_path / "mobilenet.espalier")
    images = Dataset("cifar-10", "test", rng.integers(0, 256, (16, 3, 32, 32), np.uint8), np.arange(16) % 10, 10, 255)
    monkeypatch.setattr("reports.maintain.quantizer.datasets.load", lambda *_: images)
    for name, value in (("CALIBRATION", 8), ("ALONE", 2), ("FORMATS", ("QOperator",)), ("SCALES", ("per map",))):
        monkeypatch.setattr(quantizer, name, value)
    out = tmp_path / "out"
    quantizer.make(None, tmp_path, out, 8, 1, ["mobilenet"])
    exact, nearest = results_of(out, "cases").values()
    assert (exact["changed"], exact["images"]) == ("none", 8)
    assert exact["agreeing"] == 8
    assert nearest["changed"].endswith("of 9 layers")
    assert all(part["largest"] <= 1 for found in (exact, nearest) for part in found["alone"])
    monkeypatch.setattr(quantizer, "measured", None)
    quantizer.make(None, tmp_path, out, 8, 1, ["mobilenet"])
    assert "| mobilenet | QOperator | per map | nearest |" in (out / "README.md").read_text()

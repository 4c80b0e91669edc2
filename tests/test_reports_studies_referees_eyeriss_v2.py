"""The referee of effective MACs: masks in the layout of Sparseloop's artifact, and what a PE that skips would take."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from accel.errors import EspalierError
from reports.studies.referees.eyeriss_v2.__main__ import main, page
from reports.studies.referees.eyeriss_v2.masks import TRUTH, WORKLOAD, PeLayer, compared, read

OUTPUTS, MAPS, SIDE = 6, 5, 3


def cycles_of(weights: np.ndarray, signals: np.ndarray) -> int:
    """Return the cycles of a PE that takes one for each pair of a weight and a signal that are not zero."""
    pairs = np.ndindex(*weights.shape, *signals.shape[1:])
    return sum(bool(weights[m, c] and signals[c, y, x]) for m, c, y, x in pairs)


def text(flags: np.ndarray) -> str:
    """Return a mask as the artifact writes it."""
    return "".join("01"[flag] for flag in flags.astype(int).ravel())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder as the artifact is, with two random layers; cycles of the second are one too many."""
    rng, truth = np.random.default_rng(0), []
    masks = tmp_path / WORKLOAD / "actual_data" / "actual_data_masks"
    for folder in (masks, tmp_path / WORKLOAD / "uniform", (tmp_path / TRUTH).parent):
        folder.mkdir(parents=True)
    for number, name in enumerate(("L07", "L09")):
        weights, signals = rng.random((OUTPUTS, MAPS)) < 0.5, rng.random((MAPS, SIDE, SIDE)) < 0.6
        sizes = f"problem:\n  instance:\n    C: {MAPS}\n    E: {SIDE}\n    F: {SIDE}\n    M: {OUTPUTS}\n    R: 1\n"
        (tmp_path / WORKLOAD / "uniform" / f"{name}.yaml").write_text(f"{sizes}    densities:\n      density: 0.52\n")
        (masks / f"{name}_weights.txt").write_text(text(weights))
        (masks / f"{name}_iacts.txt").write_text(text(signals.transpose(1, 2, 0)))
        truth.append(f"{name}: {cycles_of(weights, signals) + number}\n")
    (tmp_path / TRUTH).write_text("".join(truth))
    return tmp_path


def test_masks(checkout: Path) -> None:
    """Masks of maps side by side become a Program whose effective MACs are the pairs that loops count.

    Negative control: the layer whose ground truth is a cycle more is not equal to it.
    """
    equal, other = (compared(layer) for layer in read(checkout))
    assert (equal.name, equal.shape) == ("L07", (OUTPUTS, MAPS, SIDE**2))
    assert equal.effective_macs == equal.cycles < equal.macs
    assert other.effective_macs == other.cycles - 1


def test_weights_meet_the_signals_of_their_own_map() -> None:
    """One map has signals and the other weights: no cycle; the same map both: three."""
    signals = np.array([[[1, 1, 1]], [[0, 0, 0]]], bool)
    for weights, cycles in (([[0, 1]], 0), ([[1, 0]], 3)):
        found = compared(PeLayer(name="L", weights=np.array(weights, bool), signals=signals, cycles=cycles))
        assert (found.effective_macs, found.macs) == (cycles, 3)


def test_the_page(checkout: Path, tmp_path: Path) -> None:
    """A row for each layer, and how many are equal."""
    done = CliRunner().invoke(main, [str(checkout), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    written = (tmp_path / "out" / "README.md").read_text()
    assert written == page([compared(layer) for layer in read(checkout)])
    assert "**1 of 2 layers are equal to the cycle.**" in written
    assert f"| L07 | {OUTPUTS} x {MAPS} x {SIDE**2} | " in written


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (WORKLOAD / "actual_data/actual_data_masks/L07_weights.txt", "01", "expected 30 digits 0 or 1"),
        (WORKLOAD / "actual_data/actual_data_masks/L07_iacts.txt", "2" * 45, "expected 45 digits 0 or 1"),
        (TRUTH, "L09: 1\n", "cycles of L07"),
        (WORKLOAD / "uniform/L07.yaml", "C: 5\n", "expected sizes M, C, E and F"),
    ],
)
def test_refusals(checkout: Path, file: Path, content: str, words: str) -> None:
    """What is no mask, or lacks sizes or cycles, is refused in a line that names the file."""
    (checkout / file).write_text(content)
    with pytest.raises(EspalierError, match=words):
        [*read(checkout)]

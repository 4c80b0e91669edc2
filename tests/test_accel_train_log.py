"""A training's log is an event file of TensorBoard: its own reader finds what the training reported, epoch by epoch."""

import sys
from pathlib import Path

import pytest
from support.retraining import IMAGES, LABELS, pruned
from support.stopping import StopTrainingError

pytest.importorskip("torch", reason="training needs PyTorch (extra train)")
pytest.importorskip("tensorboard", reason="needs TensorBoard (extra tensorboard)")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from accel.errors import EspalierError
from accel.train import Progress, Recipe, fit
from accel.train.log import LOSS, RATE, TRAINING, VALIDATION, logged

RECIPE = Recipe(epochs=4, batch_size=20, learning_rate=0.5, schedule="step")  # 4 steps an epoch


def lines(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the points of every scalar that TensorBoard reads in a folder."""
    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(x.step, x.value) for x in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def train(folder: Path, checkpoint: Path | None = None, stop: int = 0, validation: bool = True) -> list[Progress]:
    """Train with a log, perhaps until a step at which it is stopped; return what was reported at the end of epochs."""
    heard: list[Progress] = []
    held_out = (IMAGES[:30], LABELS[:30]) if validation else None
    with logged(folder, RECIPE) as listen:

        def both(at: Progress) -> None:
            listen(at)
            heard.append(at)
            if at.step == stop:
                raise StopTrainingError

        fit(pruned(), IMAGES, LABELS, RECIPE, validation=held_out, checkpoint=checkpoint, progress=both)
    return [at for at in heard if at.step % 4 == 0]


def test_scalars(tmp_path: Path) -> None:
    """Each epoch is a point of every line, of what it reported at its last step; without validation images of three."""
    heard = train(tmp_path / "new" / "run")
    found = lines(tmp_path / "new" / "run")
    assert set(found) == {LOSS, TRAINING, VALIDATION, RATE}
    for tag, told in ((LOSS, "loss"), (TRAINING, "error_rate"), (VALIDATION, "validation_error_rate")):
        assert found[tag] == [(epoch, pytest.approx(getattr(at, told))) for epoch, at in enumerate(heard, start=1)]
    rates = (0.5, 0.5, 0.05, 0.005)  # a tenth after half and after three quarters of the steps
    assert found[RATE] == [(epoch, pytest.approx(rate)) for epoch, rate in enumerate(rates, start=1)]
    train(tmp_path / "alone", validation=False)
    assert set(lines(tmp_path / "alone")) == {LOSS, TRAINING, RATE}


def test_resumed(tmp_path: Path) -> None:
    """Stopped in the third epoch and resumed, a training has the lines of one that nobody stopped."""
    train(tmp_path / "whole")
    with pytest.raises(StopTrainingError):
        train(tmp_path / "run", tmp_path / "checkpoint", stop=10)
    assert [epoch for epoch, _ in lines(tmp_path / "run")[LOSS]] == [1, 2]
    train(tmp_path / "run", tmp_path / "checkpoint")
    assert lines(tmp_path / "run") == lines(tmp_path / "whole")
    assert lines(tmp_path / "run")[LOSS][0] != lines(tmp_path / "run")[LOSS][1]  # negative control


def test_no_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TensorBoard that is said in one line, before anything is trained or written."""
    for name in ("tensorboard", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    line = r"^logging a training needs TensorBoard: pip install 'espalier-hw\[tensorboard\]'$"
    with pytest.raises(EspalierError, match=line), logged(tmp_path / "run", RECIPE):
        pass
    assert not (tmp_path / "run").exists()

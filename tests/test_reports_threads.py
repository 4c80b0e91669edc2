"""Retraining by a command gives the same bytes on any number of threads: which it uses is part of its recipe."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commandline import complaint, espalier

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

COMMANDS = {
    "prune": ("prune", "digits", "--pattern", "kernel", "--ratio", "0.5", "--retrain", 1),
    "quantize": ("quantize", "digits", "--weight-bits", 3, "--signal-bits", 3, "--retrain", 1),
}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Leave PyTorch as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_same_bytes(command: str, tmp_path: Path) -> None:
    """Neither what PyTorch is set to, as by OMP_NUM_THREADS, nor --threads shows; negative control: a seed does."""
    words = COMMANDS[command]
    for count in (1, 2):
        torch.set_num_threads(count)
        assert espalier(*words, "--threads", count, "-o", tmp_path / str(count)).status == 0
    assert espalier(*words, "--seed", 1, "-o", tmp_path / "other").status == 0
    one, two, other = ((tmp_path / name).read_bytes() for name in ("1", "2", "other"))
    assert one == two != other


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "told"), [("prune", "run (other train_threads)"), ("quantize", "training (other ")]
)
def test_a_checkpoint_of_another_number(command: str, told: str, tmp_path: Path) -> None:
    """What was begun on one number of threads does not go on with another: that is another recipe."""
    words = (*COMMANDS[command], "--checkpoint", tmp_path / "c", "-o", tmp_path / "o")
    assert espalier(*words).status == 0
    assert espalier(*words, "--threads", 2).status == 0
    line = complaint(*words, "--train-threads", 2)
    assert line.startswith(f"checkpoint {tmp_path / 'c'} is of another {told}")
    assert "threads): delete it to start anew" in line

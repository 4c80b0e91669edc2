"""`--log-dir` of `prune` and `quantize`: TensorBoard reads a run of each training, and nothing else changes."""

import json
import sys
from pathlib import Path

import pytest
from support.commandline import complaint, contents, espalier

pytest.importorskip("torch", reason="training needs PyTorch (extra train)")
pytest.importorskip("tensorboard", reason="needs TensorBoard (extra tensorboard)")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PRUNE = ("prune", "digits", "--pattern", "kernel", "--retrain", 2, "--sparsify", 1)
QUANTIZE = ("quantize", "digits", "--weight-bits", 3, "--signal-bits", 3, "--retrain", 2)
TAGS = {"loss", "error_rate/training", "error_rate/validation", "learning_rate"}


def runs(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Return the lines of each run, checked to have a point an epoch from the first on."""
    found = {}
    for run in sorted(folder.iterdir()):
        events = EventAccumulator(str(run))
        events.Reload()
        scalars = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
        assert all([x.step for x in line] == [*range(1, len(line) + 1)] for line in scalars.values())
        found[run.name] = {tag: [x.value for x in line] for tag, line in scalars.items()}
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected", "last"),
    [(PRUNE, {"1-sparsifying": 1, "2-retraining": 2}, "retrained"), (QUANTIZE, {"1-retraining": 2}, "result")],
    ids=["prune", "quantize"],
)
def test_a_log(tmp_path: Path, words: tuple[object, ...], expected: dict[str, int], last: str) -> None:
    """The last point is what the command says of the validation images; the file is that of a command without a log."""
    files = ("--json", tmp_path / "o.json", "-o", tmp_path / "with")
    assert espalier(*words, "--log-dir", tmp_path / "log", *files).status == 0
    assert espalier(*words, "-o", tmp_path / "without").status == 0
    assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()
    found = runs(tmp_path / "log")
    assert {name: len(lines["loss"]) for name, lines in found.items()} == expected
    assert all(set(lines) == TAGS for lines in found.values())
    *_, training = found.values()
    rates = json.loads((tmp_path / "o.json").read_text())["error_rates"]["validation"]
    assert training["error_rate/validation"][1] == pytest.approx(rates[last])
    assert training["loss"][1] < training["loss"][0]
    assert training["learning_rate"][1] < training["learning_rate"][0]  # the zoo's recipes fall along a cosine


@pytest.mark.parametrize("words", [PRUNE, QUANTIZE], ids=["prune", "quantize"])
def test_bad_input(tmp_path: Path, words: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of no training, and one without TensorBoard, are refused in one line; nothing is written."""
    files = ("--log-dir", tmp_path / "log", "-o", tmp_path / "o")
    line = complaint(*words[: words.index("--retrain")], *files)
    assert line == f"--log-dir {tmp_path / 'log'}: nothing is retrained; --retrain says for how many epochs"
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert complaint(*words, *files) == "--log-dir needs TensorBoard: pip install 'espalier-hw[tensorboard]'"
    assert contents(tmp_path) == {}


def test_no_place(tmp_path: Path) -> None:
    """A folder that cannot be made is told before anything is trained."""
    (tmp_path / "file").touch()
    line = complaint(*PRUNE, "--log-dir", tmp_path / "file" / "log", "-o", tmp_path / "o")
    assert line.startswith(f"cannot write to {tmp_path / 'file' / 'log'}: ")

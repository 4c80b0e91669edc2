"""`espalier bench training`: an epoch of ours beside one of a plain loop."""

import json
from pathlib import Path

import pytest
from support.commandline import espalier

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from accel.interchange.zoo.architectures import ARCHITECTURES  # noqa: E402
from accel.train import NetworkModule  # noqa: E402
from reports.bench import training  # noqa: E402
from reports.bench.plain_training import PLAIN, Loop  # noqa: E402
from reports.bench.training import TRAINED, Epochs  # noqa: E402
from reports.workflow.recipes import ENTRIES  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", TRAINED)
def test_both_train_the_same_network(name: str) -> None:
    """As many parameters of each shape, and scores of the same shape."""
    ours, plain = NetworkModule(ARCHITECTURES[name]()), PLAIN[name]()
    shapes = [sorted(tuple(x.shape) for x in module.parameters()) for module in (ours, plain)]
    assert shapes[0] == shapes[1]
    images = torch.zeros(2, *ARCHITECTURES[name]().input_shape)
    assert ours(images).flatten(1).shape == plain(images).shape


def test_the_plain_loop_learns() -> None:
    """On sixteen images the loss falls to a tenth: it is a training, and not a loop that costs nothing."""
    torch.manual_seed(0)
    images, labels = torch.rand(16, 1, 28, 28), torch.arange(16) % 10
    recipe = ENTRIES["lenet5"].dense
    loop = Loop(PLAIN["lenet5"](), images, labels, recipe)
    first = loop.epoch()
    assert min(loop.epoch() for _ in range(150)) < 0.1 * first


def test_ratio_is_the_median_of_pairs() -> None:
    """2, 1 and 4 of pairs give 2, whatever the others' speed was at that time."""
    assert Epochs(network="x", images=1, ours=(2, 3, 8), plain=(1, 3, 2)).ratio == 2


def test_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A row and a record for each network; one that is not known ends in a line that names those that are."""
    monkeypatch.setattr(training, "IMAGES", {"lenet5": 32})
    done = espalier("bench", "training", "lenet5", "--rounds", 2, "--json", tmp_path / "t.json")
    assert done.status == 0, done.err
    assert "plain loop" in done.out
    (record,) = json.loads((tmp_path / "t.json").read_text())["trainings"]
    assert len(record["ours"]) == len(record["plain"]) == 2
    assert record["ratio"] > 0
    done = espalier("bench", "training", "digits")
    assert (done.status, done.out) == (2, "")
    assert "unknown network 'digits': training is measured on lenet5, cifar-quick, resnet8, resnet20" in done.err

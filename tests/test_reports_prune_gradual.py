"""`espalier prune --gradual` and `--ratio all=`: masks that follow the weights, and a share of all weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.commandline import complaint, contents, espalier

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.layers import Conv2d
from accel.pruned import PrunedNetwork
from reports.workflow import retrain
from reports.workflow.prune import following, parse_ratios, prune

TAUGHT = ("--pattern", "kernel@8", "--ratio", "all=0.5", "--retrain", 4, "--gradual", 0.5)


def test_the_share_is_of_all_weights(tmp_path: Path) -> None:
    """Without training: as `prune` gives it, half of all weights, more of one layer than of another."""
    done = espalier("prune", "digits", "--pattern", "irregular", "--ratio", "all=0.5", "-o", tmp_path / "o")
    assert (done.status, done.err) == (0, "")
    pruned, expected = PrunedNetwork.load(tmp_path / "o"), prune(zoo.load("digits"), "irregular", {"all": 0.5})
    assert pruned.sparsity == expected.sparsity == pytest.approx(0.5, abs=1e-3)
    gone = {1 - mask.kept.mean() for mask in pruned.masks.values()}
    assert len(gone) > 1
    assert parse_ratios("all=0.5", "irregular") == {"all": 0.5}


def test_masks_grow_along_a_cubic_curve_and_may_come_back() -> None:
    """Half way to 0.8 it is 0.7 of each layer; with other weights other kernels go, also ones that had come first."""
    dense = zoo.load("lenet5")
    start, masks = following(dense, "kernel", {"kernel": 0.8})
    half, end = masks(start.network, 0.5), masks(start.network, 1.0)
    for name, ratio, found in (("conv2", 0.7, half), ("conv2", 0.8, end), ("conv3", 0.7, half)):
        assert 1 - found[name].kept.mean() == pytest.approx(ratio, abs=0.01)
    conv = start.network["conv2"]
    assert isinstance(conv, Conv2d)
    gone = np.argwhere(~half["conv2"].kept.any(axis=2))[0]
    other = conv.weight.copy()
    other[tuple(gone)] = 9
    assert masks(start.network.with_weights({"conv2": other}), 1.0)["conv2"].kept[tuple(gone)].all()
    assert not end["conv2"].kept[tuple(gone)].any()


def test_groups_of_kernels_stand_in_order_first() -> None:
    """The network computes the same, its output maps in the order in which groups keep more."""
    dense = zoo.load("digits")
    start, _ = following(dense, "kernel@8", {"kernel@8": 0.5})
    images = datasets.load("digits", "validation").take(5).pixels()
    assert np.allclose(start.network.scores(images), dense.network.scores(images), atol=1e-4)


@pytest.mark.parametrize("label", ["feature-map", "feature-map+kernel", "dense"])
def test_what_leaves_for_good_cannot_follow(label: str) -> None:
    """Feature maps leave the network; and more than one stage have no one course."""
    with pytest.raises(EspalierError, match=f"masks of {label.replace('+', '.')} cannot follow the weights"):
        following(zoo.load("digits"), label)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gradual", "0.5"], "--gradual 0.5: nothing is retrained; --retrain says for how many epochs"),
        (["--gradual", "1.0", "--retrain", "2"], "Invalid value for '--gradual': 1.0 is not in the range 0<x<1."),
        (["--gradual", "0.5", "--retrain", "2", "--rounds", "2"], "--gradual 0.5: magnitude chooses before each ep"),
        (["--gradual", "0.5", "--retrain", "2", "--sparsify", "1"], "--gradual 0.5: magnitude chooses before each e"),
        (["--gradual", "0.5", "--retrain", "2", "--select", "random"], "--gradual 0.5: magnitude chooses before eac"),
        (["--ratio", "all=1.5"], "--ratio all=1.5: a ratio must be at least 0 and less than 1, got 1.5"),
        (["--ratio", "all=0.99"], "digits: 99.0% of all weights cannot go, at most "),
    ],
)
def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str) -> None:
    """One line says what does not go together, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert complaint("prune", "digits", "--pattern", "kernel", *arguments, "-o", "o").startswith(words)
    assert contents(tmp_path) == {}


def test_a_share_of_all_weights_is_of_one_stage(tmp_path: Path) -> None:
    """Feature maps take weights of other layers along."""
    words = ("prune", "digits", "--pattern", "feature-map+kernel", "--ratio", "all=0.5", "-o", tmp_path / "o")
    assert complaint(*words).startswith("--ratio all=0.5: is for one stage without feature maps, which feature-map+k")


@pytest.mark.slow
def test_gradual_is_the_library(tmp_path: Path) -> None:
    """The command gives what `fit` gives with the masks that follow; frozen at another epoch other weights come out."""
    pytest.importorskip("torch")
    from accel.train import Gradual

    done = espalier("prune", "digits", *TAUGHT, "--seed", 3, "-o", tmp_path / "o", "--json", tmp_path / "o.json")
    assert done.status == 0, done.err
    found, record = PrunedNetwork.load(tmp_path / "o"), json.loads((tmp_path / "o.json").read_text())
    assert found.sparsity == pytest.approx(0.5, abs=0.02)
    assert record["error_rates"]["validation"].keys() == {"dense", "pruned", "retrained"}
    assert record["error_rates"]["validation"]["retrained"] < record["error_rates"]["validation"]["pruned"]
    train = retrain.trainer(retrain.recipe("digits", 4, seed=3), datasets.load("digits", "train"))
    start, masks = following(zoo.load("digits"), "kernel@8", {"all": 0.5})
    for frozen in (0.5, 0.75):
        expected = train(start, gradual=Gradual(masks, "", frozen))
        pairs = zip(found.network.weighted, expected.network.weighted, strict=True)
        assert all(np.array_equal(x.weight, y.weight) for x, y in pairs) == (frozen == 0.5)

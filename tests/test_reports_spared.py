"""Which layers stay dense: every command that prunes by itself spares the same ones, and keeps the same weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.commandline import espalier, reported
from support.networks import Sketch

from accel.interchange import zoo
from accel.network import Network
from accel.prune import Space, default_spare, select_by_magnitude
from accel.pruned import PrunedNetwork

PATTERN, RATIO = "irregular", 0.7  # the usual ratio: `report` and `size` have no option for it


def perceptron() -> Network:
    """Return 64-30-12-10 for the 8x8 digits: no convolution, and fc1 holds most of the weights."""
    sketch = Sketch(1, 8, 8)
    sketch.flatten()
    for name, outputs in (("fc1", 30), ("fc2", 12), ("fc3", 10)):
        sketch.linear(name, outputs)
        if name != "fc3":
            sketch.relu(name.replace("fc", "relu"))
    return sketch.network("perceptron")


@pytest.fixture(scope="module", params=["perceptron", "digits"])
def dense(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a dense network whose first layer is fully connected, and of one that begins with maps."""
    path = tmp_path_factory.mktemp("dense") / "dense.espalier"
    known = request.param == "digits"
    (zoo.load("digits") if known else PrunedNetwork(perceptron(), data="digits")).save(path)
    return path


def by_prune(dense: Path, folder: Path) -> dict[str, int]:
    """Return the weights that `espalier prune` keeps in each layer."""
    out, record = folder / "pruned.espalier", folder / "prune.json"
    assert espalier("prune", dense, "--pattern", PATTERN, "--ratio", RATIO, "-o", out, "--json", record).status == 0
    return {name: layer["kept"] for name, layer in json.loads(record.read_text())["layers"].items()}


def by_size(dense: Path, folder: Path) -> dict[str, int]:
    """Return those that `espalier size --pattern` counts."""
    record = folder / "size.json"
    assert espalier("size", dense, "--pattern", PATTERN, "--json", record).status == 0
    return {row["name"]: row["weights"] for row in json.loads(record.read_text())["layers"]}


def by_report(dense: Path, folder: Path) -> dict[str, int]:
    """Return those of the report's points."""
    words = ("--patterns", PATTERN, "--bits", "8", "--images", 20, "--out", folder / "report")
    _ = reported(dense, *words)
    points = json.loads((folder / "report" / "results.json").read_text())["points"]
    (point,) = [x for x in points if x["pattern"] == PATTERN]
    return {row["name"]: row["weights"] for row in point["layers"]}


def by_explore(dense: Path, folder: Path) -> int:
    """Return the weights of the exploration's version in all."""
    words = ("--patterns", PATTERN, "--ratios", RATIO, "--retrain", 0, "--weight-bits", "8", "--signal-bits", "8")
    done = espalier("explore", dense, *words, "--arrays", "4x4", "--images", 20, "--jobs", 1, "--out", folder / "e")
    assert done.status in (0, 1)
    versions = json.loads((folder / "e" / "results.json").read_text())["versions"]
    (version,) = [x for x in versions if x["pattern"] == PATTERN]
    return int(version["weights"])


def expected(dense: Path, spare: tuple[str, ...] | None = None) -> dict[str, int]:
    """Return what the selector keeps of each layer."""
    network = PrunedNetwork.load(dense).network
    masks = select_by_magnitude(Space.of(network, PATTERN, spare), RATIO)
    return {x.name: int(masks[x.name].kept.sum()) if x.name in masks else x.weight.size for x in network.weighted}


@pytest.mark.slow
def test_four_commands_agree(dense: Path, tmp_path: Path) -> None:
    """`prune`, `size`, `report` and `explore` keep the same weights of each layer of the same file."""
    kept = expected(dense)
    assert by_prune(dense, tmp_path) == by_size(dense, tmp_path) == by_report(dense, tmp_path) == kept
    assert by_explore(dense, tmp_path) == sum(kept.values())
    network = PrunedNetwork.load(dense).network
    others = expected(dense, (network.weighted[0].name, network.weighted[-1].name))
    assert (others == kept) == ("conv1" in kept)  # negative control: to spare a fully connected fc1 is another answer


def test_most_of_a_perceptron_can_go(tmp_path: Path) -> None:
    """Nine tenths of lenet-300-100's weights but those of its last layer: 90 % of 265,200 of 266,200."""
    network = zoo.load("lenet-300-100").network
    assert default_spare(network) == ("fc3",)
    masks = select_by_magnitude(Space.of(network, PATTERN), 0.9)
    gone = sum(int(np.count_nonzero(~mask.kept)) for mask in masks.values())
    assert gone / 266_200 == pytest.approx(0.9 * 265_200 / 266_200, abs=1e-5)

"""`espalier bench`: results and ratios by hand, peers that run the same network, and the command."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import espalier
from support.sealing import resealed

from accel.errors import EspalierError
from accel.layers import Conv2d, Linear
from reports.bench import measure, peers
from reports.bench.help_time import processor_seconds
from reports.bench.networks import PRUNINGS, pruned_network, random_images, random_network
from reports.bench.page import page
from reports.bench.results import Measured, NetworkResult, Results, Start
from reports.commands import bench
from sim.profile import LayerTime, Profile

LAYERS = [
    {"name": "conv1", "macs": 3000, "total": 0.5, "lowering": 0.1, "dots": 0.2, "finishing": 0.15, "call": 0.05},
    {"name": "pool", "macs": 0, "total": 0.25, "lowering": 0.0, "dots": 0.0, "finishing": 0.0, "call": 0.0},
]
PROFILE = {"images": 64, "total": 1.25, "packing": 0.25, "layers": LAYERS}


def measured(runtime: str, seconds: list[float], pattern: str = "dense", density: float = 1.0) -> Measured:
    """Return a contender that ran 1,000 images on one thread."""
    return Measured(runtime, pattern, density, 1, 64, 1000, seconds)


def results() -> Results:
    """Return results made up: 1,000 images in these seconds."""
    entries = [
        measured("espalier", [1.0, 0.5, 9.0]),  # the median is 1 s: 1,000 images/s
        measured("espalier", [0.25] * 3, "ikss", 0.3),
        measured("espalier", [0.25] * 3, "2:4", 0.5),
        measured("onnxruntime int8 QDQ", [2.0] * 3),
        measured("onnxruntime float32", [1.6] * 3),
        measured("onnxruntime float32", [0.8] * 3, "feature-map", 0.5),
        measured("numpy golden", [100.0] * 3),
    ]
    network = NetworkResult("cifar-quick", 12_000_000, entries, {"dense": PROFILE}, Start(4.5, 0.25, 120.4))
    return Results({"processor": "made up"}, "portable", 30.0, [network])


class TestRatios:
    def test_medians_count(self) -> None:
        """Neither the fastest run nor a disturbed one decides."""
        assert results().networks[0].entries[0].images_per_second == 1000

    def test_are_over_the_better_of_the_rivals(self) -> None:
        """Onnxruntime's float32 is the faster here, 625 images/s; its narrower network is not what counts."""
        (network,) = results().networks
        rival = network.rival(1)
        assert rival is not None
        assert (rival.runtime, rival.pattern) == ("onnxruntime float32", "dense")
        assert [network.ratio(entry) for entry in network.entries] == [1.6, 6.4, 6.4, 0.8, 1.0, 2.0, 0.016]

    def test_there_is_none_without_rivals(self) -> None:
        """Nothing to compare with: no ratio."""
        (network,) = results().networks
        alone = replace(network, entries=network.entries[:3])
        assert [alone.ratio(entry) for entry in alone.entries] == [None] * 3
        assert network.rival(2) is None

    def test_targets(self) -> None:
        """Dense at least as fast; IKSS 0.6 over its density; nothing asked of 2:4, nor of peers."""
        (network,) = results().networks
        assert [network.target(entry) for entry in network.entries[:4]] == [1.0, 0.6 / 0.3, None, None]
        assert replace(network, network="cnn-small").target(network.entries[0]) == 0.8
        assert replace(network, network="lenet5").target(network.entries[1]) is None


class TestFormat:
    def test_there_and_back(self) -> None:
        """Results survive as text."""
        assert Results.from_json(results().to_json()) == results()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"version": 1}, "expected espalier-bench version 2, got espalier-bench version 1"),
            ({"format": "x"}, "expected espalier-bench version 2, got x version 2"),
            ({"networks": [{}]}, r"networks\[0\]: Object missing required field network"),
            ({"roof": "high"}, "roof: Expected float, got str"),
        ],
    )
    def test_something_else_is_refused(self, change: dict[str, Any], said: str) -> None:
        """Another version, another file, a part missing or of another type: one line."""
        with pytest.raises(EspalierError, match=said):
            Results.from_json(resealed(json.loads(results().to_json()), **change))


class TestPage:
    def test_holds_ratios_and_times(self) -> None:
        """Rates with their ratios and targets; layers with their share of the roof; what is around them."""
        text = page(results())
        assert "| espalier | dense | 1.000 | 1 | 64 | 1,000 | 1.60 | 1.00 |" in text
        assert "| espalier | ikss | 0.300 | 1 | 64 | 4,000 | 6.40 | 2.00 |" in text
        assert "| conv1 | 0.500 | 0.100 | 0.200 | 0.150 | 0.050 | 6 | 20% |" in text  # 3,000 MACs in 0.5 us; roof 30
        assert "| around them | 0.250 |" in text
        assert "processor made up" in text
        assert "| cifar-quick | 4.50 | 0.25 | 120 |" in text

    def test_files(self) -> None:
        """Results, a page and three figures; the same results draw the same bytes."""
        files = bench.files(results())
        assert sorted(files) == ["README.md", "layers.png", "ratios.png", "results.json", "times.png"]
        assert files == bench.files(Results.from_json(files["results.json"].decode()))


class TestPeers:
    @pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
    @pytest.mark.parametrize("name", ["lenet5", "cnn-small"])
    def test_run_the_same_network(self, name: str, runtime: str) -> None:
        """Matrices for convolutions of one position, folded norms, ONNX and PyTorch: the scores stay what they were."""
        pytest.importorskip(runtime)
        dense = random_network(name).network
        images = random_images(dense.input_shape, 3)
        expected = dense.scores(peers.pixels(images))
        network = peers.connected(dense)
        if runtime == "torch":
            run = peers.torch_run(network, images, 1, 2)
        else:
            run = peers.onnxruntime_run(peers.onnx_model(network), images, 1, 2)
        found = np.concatenate([np.asarray(part) for part in run()])
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
        assert not np.allclose(expected[::-1], expected, rtol=1e-3)  # images differ, so the comparison can fail

    def test_a_convolution_of_one_position_is_a_matrix(self) -> None:
        """LeNet-5's third convolution sees one position."""
        network = peers.connected(random_network("lenet5").network)
        assert isinstance(network["conv3"], Linear)
        assert isinstance(network["conv2"], Conv2d)

    @pytest.mark.parametrize("form", peers.FORMATS)
    def test_quantised_models_are_close(self, form: str) -> None:
        """Eight bits are not the same scores, and near them."""
        pytest.importorskip("onnxruntime")
        dense = random_network("lenet5").network
        images = random_images(dense.input_shape, 32)
        network = peers.connected(dense)
        model = peers.quantized_model(peers.onnx_model(network), images, form)
        (found,) = peers.onnxruntime_run(model, images, 1, 32)()
        expected = dense.scores(peers.pixels(images))
        off = np.abs(found - expected).max() / np.abs(expected).max()
        assert 0 < off < 0.2

    def test_a_missing_one_says_how_to_get_it(self) -> None:
        """One line, with what to install."""
        with pytest.raises(EspalierError, match=r"the peers need .*pip install \"espalier-hw\[bench\]\""):
            peers._package("no_such_runtime")

    def test_layers_that_peers_do_not_have(self) -> None:
        """What cannot be handed over is named."""
        from accel.interchange.zoo.architectures import ARCHITECTURES

        with pytest.raises(EspalierError, match="add1_1: Add is not among the layers that the peers are given"):
            peers.onnx_model(ARCHITECTURES["resnet20"]().folded())


class TestNetworks:
    @pytest.mark.parametrize("pruning", PRUNINGS, ids=lambda x: x.label)
    def test_are_pruned_as_the_table_says(self, pruning: Any) -> None:
        """The ratio of each pattern goes of the layers between the first and the last."""
        dense = random_network("cifar-quick")
        pruned = pruned_network(dense, pruning)
        if pruning.label == "feature-map":
            widths = [layer.weight.shape[0] for layer in pruned.network.weighted]
            assert widths == [32, *(round(width * 0.3**0.5) for width in (32, 64, 64)), 10] or widths[-1] == 10
            return
        kept = pruned.layer_mask("conv2").kept.mean()
        assert kept == pytest.approx(1 - pruning.ratio, abs=0.04)
        assert pruned.layer_mask("conv1").kept.all()


class TestProfile:
    def test_parts_are_of_the_whole(self) -> None:
        """GMAC/s from MACs and microseconds; the rest is what no part holds, never less than nothing."""
        layer = LayerTime("conv", 2000, 0.5, 0.1, 0.3, 0.05, 0.05)
        assert layer.gmacs == 4.0
        assert Profile(64, 1.0, 0.2, (layer,)).rest == pytest.approx(0.3)
        assert Profile(64, 0.6, 0.2, (layer,)).rest == 0.0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command run a few images."""
    monkeypatch.setattr(measure, "IMAGES", dict.fromkeys(measure.IMAGES, 48))
    monkeypatch.setattr(measure, "GOLDEN_IMAGES", dict.fromkeys(measure.GOLDEN_IMAGES, 2))
    monkeypatch.setattr(measure, "BATCHES", (16,))


class TestHelpTime:
    def test_a_process_that_works_takes_longer(self) -> None:
        """The time is the processor's: it is there, and more for a Python that counts to three million."""
        idle, busy = (processor_seconds(("-c", code)) for code in ("pass", "sum(x * x for x in range(3_000_000))"))
        assert 0 <= idle < busy


@pytest.mark.usefixtures("quick")
class TestCommand:
    @pytest.mark.slow
    def test_prints_and_writes(self, tmp_path: Path) -> None:
        """Every pattern on one network, without peers: tables, and a folder whose results are read back."""
        done = espalier("bench", "lenet5", "--threads", 1, "--rounds", 2, "--out", tmp_path / "b")
        assert done.status == 0
        for pruning in PRUNINGS:
            assert pruning.label in done.out
        found = Results.from_json((tmp_path / "b/results.json").read_text())
        (network,) = found.networks
        assert (network.network, network.macs) == ("lenet5", 416_520)
        assert {len(entry.seconds) for entry in network.entries} == {2}
        assert found.roof > 0
        assert "Cost model: " in done.out
        assert " for each image of the golden model" in done.out
        assert " times what importing click and rich takes" in done.out
        assert 0 < network.start.cached < network.start.first
        assert network.start.megabytes
        assert 0 < network.start.megabytes < 1000
        dense = network.profiles["dense"]
        assert [layer["name"] for layer in dense["layers"]] == ["conv1", "conv2", "conv3", "fc4", "fc5"]
        assert sum(layer["macs"] for layer in dense["layers"]) == 416_520

    @pytest.mark.slow
    def test_peers(self, tmp_path: Path) -> None:
        """With peers, onnxruntime three times and PyTorch on the dense network, onnxruntime on the narrower one."""
        pytest.importorskip("onnxruntime")
        file = tmp_path / "r.json"
        done = espalier("bench", "lenet5", "--peers", "--threads", 1, "--threads", 2, "--rounds", 1, "--json", file)
        assert (done.status, done.err) == (0, "")  # the quantiser's advice is not for our users
        (network,) = Results.from_json(file.read_text()).networks
        peers = [(x.runtime, x.pattern) for x in network.entries if x.threads == 2 and x.runtime != "espalier"]
        kinds = [f"onnxruntime {kind}" for kind in ("float32", "int8 QDQ", "int8 QOperator")]
        dense = [(kind, "dense") for kind in (*kinds, "torch float32")]
        assert peers == [*dense, *((kind, "feature-map") for kind in kinds)]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("alexnet",), "unknown network 'alexnet': expected lenet5, cifar-quick, cnn-small"),
            (("lenet5", "--json", "no/such/folder/x.json"), "cannot write to no/such/folder/x.json"),
            (("lenet5", "--threads", 0), "--jobs"),
        ],
    )
    def test_bad_input(self, arguments: tuple[Any, ...], said: str) -> None:
        """One line, before anything is measured."""
        done = espalier("bench", *arguments)
        assert done.status == 2
        assert said in done.err
        assert len(done.err.splitlines()) == 1

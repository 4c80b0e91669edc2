"""The study of memories: what is committed holds together, is made by what it says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.mobile import mobilenet
from support.networks import chain

from accel.cost import cost_of
from accel.interchange.zoo import DENSE
from accel.layers import Clip, Conv2d, Linear
from accel.prune import Space, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower, ordered_for
from accel.sparsity import Irregular
from reports.shared.schema import saved
from reports.studies.memory import __main__ as command
from reports.studies.memory import measure, streaming
from reports.studies.memory.definition import BITS, PRUNED, RATIO, ROOMS, VERSIONS
from reports.studies.memory.networks import NETWORKS
from reports.studies.memory.page import page, recommended
from reports.studies.memory.results import Results, Row
from reports.workflow.memory_curve import TILED, WHOLE
from reports.workflow.parsing import parse_memories
from reports.workflow.sources import random_images

FOLDER = Path(command.__file__).parent
RESULTS = saved(FOLDER / "results.json", Results.from_json)
TORCHVISION = {"resnet18": (11_689_512, 1_814_073_344), "mobilenet-v2": (3_504_872, 300_774_272)}  # parameters, MACs


class TestNetworks:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_they_are_those_networks(self, name: str) -> None:
        """Weights, biases and MACs are torchvision's: of its parameters a batch norm's two stand for bias and scale."""
        network = NETWORKS[name](np.random.default_rng(0))
        weights = sum(layer.weight.size for layer in network.weighted)
        convolutions = [layer for layer in network.weighted if isinstance(layer, Conv2d)]
        norms = sum(len(layer.weight) for layer in convolutions)
        biases = sum(layer.bias.size for layer in network.weighted if isinstance(layer, Linear))
        parameters, macs = TORCHVISION[name]
        assert weights + 2 * norms + biases == parameters
        assert sum(network.dense_macs().values()) == macs
        assert any(isinstance(layer, Clip) for layer in network.layers) == (name == "mobilenet-v2")

    @pytest.mark.parametrize("name", NETWORKS)
    def test_what_is_pruned(self, name: str) -> None:
        """Four fifths of what can have the pattern: all but the first and last layer, and 1x1 or depthwise ones."""
        weighted = NETWORKS[name](np.random.default_rng(0)).weighted
        inner = [layer for layer in weighted[1:-1] if isinstance(layer, Conv2d)]
        whole = [x for x in inner if x.groups > 1 or (name == "resnet18" and x.window.taps == 1)]
        sizes = [sum(layer.weight.size for layer in layers) for layers in (weighted, inner, whole)]
        left = sizes[0] - RATIO * (sizes[1] - sizes[2])
        assert RESULTS.row(name, PRUNED, 8).weights == pytest.approx(left, rel=1e-3)
        assert RESULTS.row(name, DENSE, 8).weights == sizes[0] != pytest.approx(left, rel=0.1)


class TestCommitted:
    def test_every_version_is_there(self) -> None:
        """Two networks, dense and pruned, at two word lengths; each in memories up to the first for whole layers."""
        assert RESULTS.missing == []
        assert tuple(row.key for row in RESULTS.rows) == VERSIONS
        for row in RESULTS.rows:
            assert [point.room_bits for point in row.points] == [*ROOMS[: len(row.points)]]
            assert [point.needs for point in row.points] == [TILED] * (len(row.points) - 1) + [WHOLE]
            assert row.points[-2].room_bits < row.whole_bits <= row.points[-1].room_bits

    @pytest.mark.parametrize("row", RESULTS.rows, ids=lambda row: " ".join(map(str, row.key)))
    def test_numbers_fit_each_other(self, row: Row) -> None:
        """Less memory moves no less; groups and what stays save; whole layers move the image and the scores alone."""
        for bits in ("dram_bits", "ungrouped_dram_bits", "apart_dram_bits"):
            moved = [getattr(point, bits) for point in row.points]
            assert moved == sorted(moved, reverse=True)
        for point in row.points:
            assert row.borders_bits <= point.dram_bits <= point.ungrouped_dram_bits <= point.apart_dram_bits
            assert point.dram_joules < point.joules
            assert point.resident_bits <= point.room_bits
        assert row.points[-1].dram_bits == row.borders_bits
        assert row.points[-1].stall_cycles == 0
        assert row.points[0].dram_bits > 5 * row.borders_bits  # negative control
        assert row.least_bits < row.points[0].room_bits

    def test_pruning_and_fewer_bits_save(self) -> None:
        """In every memory a pruned network moves less than the dense one, and one of 4 bits less than one of 8."""
        for network in NETWORKS:
            for room in ROOMS[:8]:
                moved = {
                    (pattern, bits): RESULTS.row(network, pattern, bits).at(room).dram_bits
                    for pattern in (DENSE, PRUNED)
                    for bits in BITS
                }
                assert moved[PRUNED, 8] < moved[DENSE, 8]
                assert moved[DENSE, 4] < moved[DENSE, 8]

    def test_streamed_weights(self) -> None:
        """Stored weights and their index, 2.6 MB, and image and scores are all that comes where they are unpacked.

        Lane words are three times as much, and lists of 1.8 MiB stay; nothing but they is our hardware's.
        """
        words, bitmap, runs = RESULTS.streamed
        assert [x.on_our_hardware for x in RESULTS.streamed] == [True, False, False]
        for row in (bitmap, runs):
            assert row.weight_bits + row.index_bits <= row.dram_bits - row.borders_bits + 1e5  # but for lane words
            assert row.dram_bits - row.borders_bits <= row.weight_bits + row.index_bits
        assert bitmap.weight_bits == runs.weight_bits == words.weight_bits
        assert bitmap.weight_bits + bitmap.index_bits == pytest.approx(2.5 * 2**20 * 8, rel=0.01)
        assert bitmap.index_bits == words.index_bits > 1.8 * runs.index_bits
        assert words.dram_bits > 2.8 * bitmap.dram_bits > 3.5 * runs.dram_bits
        assert words.list_bits > 100 * bitmap.list_bits
        told = page(RESULTS, ())
        assert told.count("| **no** |") == 2
        assert "| stored words, bitmap | **no** | 2.77 | 1.17 | 1.45 | 0.15 |" in told
        assert "## Streamed weights" not in page(replace(RESULTS, streamed=()), ())  # negative control

    def test_the_page_is_made_of_the_results(self, tmp_path: Path) -> None:
        """`python -m reports.studies.memory --page` would write the page that is there; other numbers another one."""
        (tmp_path / "results.json").write_bytes((FOLDER / "results.json").read_bytes())
        assert CliRunner().invoke(command.main, ["--page", "--out", str(tmp_path)]).exit_code == 0
        assert (tmp_path / "README.md").read_text() == (FOLDER / "README.md").read_text()
        first = RESULTS.rows[0]
        changed = replace(RESULTS, rows=(replace(first, least_bits=2 * first.least_bits), *RESULTS.rows[1:]))
        assert page(changed, ()) != page(RESULTS, ())

    def test_what_is_recommended(self) -> None:
        """The headline has the memory of the least energy times area."""
        row = RESULTS.row("resnet18", DENSE, 8)
        least = min(point.joules * point.area_mm2 for point in row.points)
        assert row.best.joules * row.best.area_mm2 == least
        assert f"resnet18 {row.best.room_bits / 8192:.2f} KiB" in recommended(RESULTS)


def test_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version's row is what `espalier size` says of its Program, here of a small network."""
    small = PrunedNetwork(mobilenet(np.random.default_rng(0), side=32, blocks=2))
    monkeypatch.setattr(measure, "version", lambda *_: small)
    monkeypatch.setattr(measure, "ROOMS", parse_memories("2KiB..1MiB"))
    row = measure.measured("resnet18", DENSE, 8)
    program = lower(small, Widths(8, 8), random_images(small.network.input_shape, 1))
    assert (row.key, row.weights) == (("resnet18", DENSE, 8), cost_of(program).total.weights)
    assert row.borders_bits == 8 * 3 * 32 * 32 + sum(x.output.bits * 2 for x in program.mac_layers[-1:])
    assert [point.needs for point in row.points] == [TILED] * (len(row.points) - 1) + [WHOLE]


def test_streaming(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes of a small network, bit by bit: flags and weights of outputs, or a weight for each lane."""
    network = chain()
    masks = select_by_magnitude(Space(network, {"conv2": Irregular(), "fc3": Irregular()}), 0.8)
    monkeypatch.setattr(streaming, "sparse", lambda: PrunedNetwork(network, masks, pattern="irregular"))
    words, bitmap, runs = streaming.streamed()
    program = lower(streaming.sparse(), Widths(8, 8), random_images(network.input_shape, 1))
    program = ordered_for(program, 16, split=True)
    counted, borders = 0, 8 * 2 * 8 * 8 + program.signals[program.output].bits * 3
    for layer in program.mac_layers:
        flags, stored, columns = 0, 0, list[set[int]]()
        for row, kept in enumerate(layer.kept.reshape(layer.shape[0], -1)):
            if row % 16 == 0:
                columns.append(set())
            for column, here in enumerate(kept.tolist()):
                flags += layer.pattern == "irregular"
                stored += 8 * here
                columns[-1] |= {column} if here else set()
        lanes = sum(16 * 8 * len(group) for group in columns)
        counted += min(flags + stored, lanes)
        assert flags == layer.index_bits
    assert bitmap.dram_bits == counted + borders
    assert bitmap.borders_bits == borders
    assert words.dram_bits > bitmap.dram_bits > runs.dram_bits
    assert bitmap.dram_bits != counted + borders - 8 == bitmap.dram_bits - 8  # negative control: a weight is missing
    assert bitmap.dram_bits - runs.dram_bits == bitmap.index_bits - runs.index_bits

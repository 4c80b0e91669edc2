"""Accesses of every memory: closed forms by hand, and sums over the loops that the hardware walks, step by step."""

import numpy as np
import pytest
from support.programs import PIXEL, mac_layer, program
from support.rtl_layers import ARRAY, CHAINS, PACKED, TABLED, TABLES, random_job

from accel.array import MacArray
from accel.cost import total_cycles
from accel.cost.accesses import IMAGE, Access, accesses_of
from accel.demand import array_for
from accel.fusion import computing
from accel.network import INPUT
from accel.places import beats_of
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer
from accel.walk import walk_of
from accel.window import Window
from rtl.assemble import assemble

Words = dict[str, tuple[int, int]]
LANES = {"split": False, "combine": False}


def words(found: Program, array: MacArray) -> dict[str, Words]:
    """Return reads and writes of each memory that is touched, by layer."""
    rows = accesses_of(found, array).items()
    return {name: {x: (a.reads, a.writes) for x, a in row.items() if a.words} for name, row in rows}


def conv(
    kernel: tuple[int, int], maps: int = 1, outputs: int = 2, stride: int = 1, pattern: str = "dense", **more: object
) -> Program:
    """Return a Program of one layer over maps of 4 x 6."""
    window = Window(kernel, (stride, stride))
    weights = np.ones((outputs, maps, window.taps), np.int64)
    layer = mac_layer("conv", INPUT, weights, PIXEL, window=window, pattern=pattern, **more)
    return program([layer], (maps, 4, 6))


def vector(inputs: int) -> Program:
    """Return a Program of one layer that is fully connected to so many words."""
    layer = mac_layer("fc", "flat", np.ones((2, inputs), np.int64), PIXEL)
    return program([FlattenLayer("flat", (INPUT,)), layer], (inputs, 1, 1))


class TestByHand:
    def test_a_layer(self) -> None:
        """2 maps of 4 x 6 pixels, a row of 24 in 6 tiles of 4: 1 step and 2 rows each, whose sums leave the chip."""
        assert words(conv((1, 1)), MacArray(2, 4, **LANES)) == {
            "image": {"signals": (0, 24)},
            "conv": {"signals": (24, 0), "weights": (6, 0), "taps": (6, 0), "constants": (12, 0), "layers": (1, 0)},
        }

    def test_two_columns_apart(self) -> None:
        """Pixels two columns apart lie in all 8 banks: 2 tiles of 3 pixels read twice as many words for a step."""
        found = words(conv((1, 1), stride=2), MacArray(2, 4, **LANES))["conv"]
        assert (found["taps"], found["signals"]) == ((2, 0), (2 * 8, 0))

    def test_past_the_end_of_a_row(self) -> None:
        """Rows of 5 pixels in 5 tiles of 4 for 20: three begin less than 4 pixels before an end; 2 steps each."""
        found = words(conv((1, 2)), MacArray(2, 4, **LANES))["conv"]
        assert walk_of(conv((1, 2)), conv((1, 2)).layers[0], MacArray(2, 4, **LANES)).flat
        assert found["signals"] == (2 * (2 * 4 + 3 * 8), 0)  # from columns 0, 4, 3, 2 and 1
        along = words(conv((1, 2)), MacArray(2, 4, flat=False, **LANES))["conv"]
        assert along["signals"] == (2 * 8 * 4, 0)  # two tiles a row, none past its end

    @pytest.mark.parametrize(("kept", "reads"), [(1, 3), (2, 3), (3, 3), (4, 4)])
    def test_lists(self, kept: int, reads: int) -> None:
        """A list is read for each of 6 tiles; of less than three entries what follows it too."""
        mask = np.zeros((2, 5, 1), bool)
        mask[:, 5 - kept :] = True
        mask[:, 0] |= kept == 2  # two maps that do not lie side by side are two entries
        found = conv((1, 1), 5, pattern="kernel", kept=mask, encoding="kernel lists")
        assert words(found, MacArray(2, 4, **LANES))["conv"]["entries"] == (6 * reads, 0)
        assert "entries" not in words(conv((1, 1), 5), MacArray(2, 4, **LANES))["conv"]  # a counter makes them

    def test_split_sums(self) -> None:
        """A vector of 8 words in windows of 4: 2 steps, in each a word of weights for each of 4 pixel lanes."""
        found = vector(8)
        assert words(found, MacArray(2, 4))["fc"]["weights"] == (2 * 4, 0)
        assert words(found, MacArray(2, 4, split=False))["fc"]["weights"] == (8, 0)

    def test_what_stays_on_the_chip(self) -> None:
        """A pool's 2 x 24 codes are written, and read by the next one, whose codes leave."""
        first, last = (MaxPoolLayer(name, (source,), Window((1, 1))) for name, source in (("a", INPUT), ("b", "a")))
        rows = words(program([first, last], (2, 4, 6)), MacArray(2, 4, **LANES))
        assert (rows["a"]["signals"], rows["b"]["signals"]) == ((48, 48), (48, 0))

    def test_streamed_weights(self) -> None:
        """Of an array that streams each word of weights is written once an image, however often it is read."""
        found = conv((1, 1), 3)
        array = array_for(found, 2, 4, stream=True)
        assert words(found, array)["conv"]["weights"] == (18, 3)
        assert words(found, array_for(found, 2, 4))["conv"]["weights"] == (18, 0)

    def test_an_image(self) -> None:
        """23 words come in 6 beats of 4, whole ones."""
        assert words(vector(23), MacArray(2, 4))[IMAGE] == {"signals": (0, 24)}

    def test_sums(self) -> None:
        """Accesses add up, reads and writes apart."""
        assert sum([Access(reads=1), Access(reads=2, writes=5)]) == Access(reads=3, writes=5)
        assert Access(reads=3, writes=5).words == 8


def walked(of: Program, array: MacArray) -> dict[str, dict[str, int]]:
    """Return reads of lists, steps and rows of each layer, by the loops that the hardware walks over its memories."""
    image, found = assemble(of, array), {}
    layers = computing(of, array)
    for layer, fields in zip(layers, image.layers, strict=False):
        place, sizes, counted = fields["list"], [], fields.get("counter", 0)
        groups = range(0, fields["outputs"], fields["group"])
        for _ in groups if not counted else ():
            first = place
            while image.entries[place].left:
                place += 1
            sizes.append([entry.count for entry in image.entries[first : place + 1]])
            place = first if fields.get("shared") else place + 1
        rows = [fields["rows"]] * (len(groups) - 1) + [fields["last_rows"]]
        found[layer.name] = {
            "entries": fields["tiles"] * sum(max(3, len(counts)) for counts in sizes),
            "constants": fields["tiles"] * sum(rows),
        }
        if not counted:
            found[layer.name]["taps"] = fields["tiles"] * sum(map(sum, sizes))
        else:
            found[layer.name]["taps"] = fields["tiles"] * len(groups) * (fields["maps_behind"] + 1) * fields["taps"]
    return found


class TestAgainstTheLoops:
    @pytest.mark.parametrize("seed", range(12))
    def test_random_programs(self, seed: int) -> None:
        """Lists, taps and constants are what a loop over the contents of the memories reads, tile by tile."""
        array, chains = [(ARRAY, CHAINS), (PACKED, CHAINS), (TABLED, TABLES)][seed % 3]
        of = random_job(np.random.default_rng(seed), array, chains).program
        expected, found = walked(of, array), accesses_of(of, array)
        for name, reads in expected.items():
            assert {memory: found[name][memory].reads for memory in reads} == reads, name
            assert found[name]["layers"].reads == 1
        assert found[IMAGE]["signals"].writes == beats_of(of, array) * array.pixel_lanes

    def test_it_can_differ(self) -> None:
        """Negative control: of a list that is an entry longer the loop reads more than the closed form says."""
        of = random_job(np.random.default_rng(0), ARRAY, [("conv",)]).program
        layer = of.layers[0].name
        expected = walked(of, ARRAY)[layer]
        assert expected["taps"] == accesses_of(of, ARRAY)[layer]["taps"].reads
        assert expected["taps"] + 1 != accesses_of(of, ARRAY)[layer]["taps"].reads
        assert total_cycles(of, ARRAY) > expected["taps"]

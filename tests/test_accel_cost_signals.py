import pytest
from support.networks import Sketch, chain, images_for

from accel.array import MacArray
from accel.cost import live_signals, peak_signals
from accel.network import Network
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower


def programmed(network: Network, signal_bits: int = 5, input_bits: int = 8) -> Program:
    """Return the Program of a network with signals of 5 bits and an image of 8, unless told."""
    return lower(PrunedNetwork(network), Widths(4, signal_bits, input_bits), images_for(network))


def score_bits(program: Program) -> int:
    """Return the bits of a score: the last layer's accumulator."""
    return program.signals[program.output].bits


class TestChain:
    """4C3-MP2-5C3-7-3 for 2 x 8 x 8 images: every tensor is read once, by the next layer."""

    program = programmed(chain())
    sizes = {  # noqa: RUF012  # words x bits
        "input": 2 * 8 * 8 * 8,
        "conv1": 4 * 8 * 8 * 5,  # the ReLU is taken in, the padding keeps the size
        "pool1": 4 * 4 * 4 * 5,
        "conv2": 5 * 2 * 2 * 5,  # flattened in place: fc3 reads the same words
        "fc3": 7 * 5,
    }

    def test_what_is_held(self) -> None:
        """While a layer runs its input and its output are held, and nothing else: conv1 writes what its pool leaves."""
        held = {
            "conv1": ["input", "pool1"],
            "pool1": ["pool1"],
            "conv2": ["pool1", "conv2"],
            "flat": ["conv2"],
            "fc3": ["conv2", "fc3"],
            "fc4": ["fc3", "fc4"],
        }
        sizes = {**self.sizes, "fc4": 3 * score_bits(self.program)}
        expected = {layer: {name: sizes[name] for name in names} for layer, names in held.items()}
        assert live_signals(self.program) == expected
        assert live_signals(programmed(chain(), 6)) != expected
        unfused = live_signals(self.program, MacArray(pool=False))
        assert unfused == expected | {
            "conv1": {name: sizes[name] for name in ("input", "conv1")},
            "pool1": {name: sizes[name] for name in ("conv1", "pool1")},
        }

    def test_peak(self) -> None:
        """conv1 holds the most: 1024 bits of image and 320 of what its pool leaves; conv2 holds 320 and 100."""
        assert peak_signals(self.program) == ("conv1", 1024 + 320)
        assert peak_signals(programmed(chain(), input_bits=1)) == ("conv1", 128 + 320)


def branches() -> Network:
    """Return conv1, which is read by conv2 and by the addition after conv3, for 1 x 4 x 4 images."""
    sketch = Sketch(1, 4, 4, seed=1)
    trunk = sketch.conv("conv1", 2, padding=1)
    sketch.conv("conv2", 3, padding=1)
    sketch.conv("conv3", 2, padding=1)
    sketch.add("add", trunk, "conv3")
    sketch.flatten()
    sketch.linear("fc", 2)
    return sketch.network()


class TestBranches:
    def test_a_residual_branch_is_held_until_the_addition(self) -> None:
        """conv1's 2 x 16 words are held while conv2 and conv3 run beside it, and dropped when they have been added."""
        program = programmed(branches())
        assert live_signals(program) == {
            "conv1": {"input": 128, "conv1": 160},
            "conv2": {"conv1": 160, "conv2": 240},
            "conv3": {"conv1": 160, "conv2": 240, "conv3": 160},
            "add": {"conv1": 160, "conv3": 160, "add": 160},
            "flat": {"add": 160},
            "fc": {"add": 160, "fc": 2 * score_bits(program)},
        }
        assert peak_signals(program) == ("conv3", 560)

    def test_the_image_is_held_while_it_is_read(self) -> None:
        """An addition of the image itself keeps it until then: 2 x 9 words of 8 bits."""
        sketch = Sketch(2, 3, 3)
        sketch.conv("conv1", 3, padding=1)
        sketch.conv("conv2", 2, padding=1)
        sketch.add("add", "input", "conv2")
        sketch.conv("conv3", 1, kernel=1)
        program = programmed(sketch.network())
        assert live_signals(program) == {
            "conv1": {"input": 144, "conv1": 135},
            "conv2": {"input": 144, "conv1": 135, "conv2": 90},
            "add": {"input": 144, "conv2": 90, "add": 90},
            "conv3": {"add": 90, "conv3": 9 * score_bits(program)},
        }
        assert peak_signals(program) == ("conv2", 369)

    def test_what_nobody_reads_is_dropped(self) -> None:
        """An output without a reader is held while it is written, and no longer."""
        sketch = Sketch(1, 3, 3)
        sketch.conv("conv1", 1, kernel=1)
        sketch.max_pool("aside", stride=1)
        sketch.conv("conv2", 1, kernel=1, source="conv1")
        program = programmed(sketch.network())
        assert live_signals(program) == {
            "conv1": {"input": 72, "conv1": 45},
            "aside": {"conv1": 45, "aside": 20},
            "conv2": {"conv1": 45, "conv2": 9 * score_bits(program)},
        }


class TestFlatten:
    def test_a_flattened_tensor_is_the_tensor(self) -> None:
        """Read as maps by a pool and as features by a layer, it is held once, until the last of both has read it."""
        sketch = Sketch(1, 4, 4, seed=2)
        sketch.conv("conv", 2, kernel=1)
        sketch.flatten()
        sketch.linear("fc1", 3)
        sketch.linear("fc2", 2, source="flat")
        program = programmed(sketch.network())
        assert live_signals(program) == {
            "conv": {"input": 128, "conv": 160},
            "flat": {"conv": 160},
            "fc1": {"conv": 160, "fc1": 15},
            "fc2": {"conv": 160, "fc2": 2 * score_bits(program)},  # nobody reads fc1
        }

    def test_both_forms_are_read(self) -> None:
        """The maps are read again after the features were: one tensor, held until then."""
        sketch = Sketch(1, 4, 4, seed=2)
        sketch.conv("conv", 2, kernel=1)
        sketch.flatten()
        sketch.linear("fc1", 3)
        sketch.conv("conv2", 1, kernel=4, source="conv")
        program = programmed(sketch.network())
        assert live_signals(program)["fc1"] == {"conv": 160, "fc1": 15}
        assert live_signals(program)["conv2"] == {"conv": 160, "conv2": score_bits(program)}

    def test_a_network_that_ends_in_one(self) -> None:
        """The scores are the flattened maps: held to the end, once."""
        sketch = Sketch(1, 3, 3)
        sketch.conv("conv", 2, kernel=1)
        sketch.flatten()
        program = programmed(sketch.network())
        assert live_signals(program) == {"conv": {"input": 72, "conv": 90}, "flat": {"conv": 90}}

    def test_an_image_that_is_flattened(self) -> None:
        """The first layer reads the image where it lies."""
        sketch = Sketch(1, 2, 3)
        sketch.flatten()
        sketch.linear("fc", 2)
        program = programmed(sketch.network())
        assert live_signals(program) == {"flat": {"input": 48}, "fc": {"input": 48, "fc": 2 * score_bits(program)}}
        assert peak_signals(program) == ("fc", 48 + 2 * score_bits(program))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_tie_is_the_first_layer(bits: int) -> None:
    """Where several layers hold as much the first one is named."""
    sketch = Sketch(1, 4, 4)
    sketch.conv("conv1", 1, kernel=1)
    sketch.relu("relu1")
    sketch.conv("conv2", 1, kernel=1)
    sketch.relu("relu2")
    sketch.conv("conv3", 1, kernel=1)
    sketch.relu("relu3")
    program = programmed(sketch.network(), bits, input_bits=bits)
    assert peak_signals(program) == ("conv1", 2 * 16 * bits)

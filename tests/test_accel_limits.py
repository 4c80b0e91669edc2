"""How large anything may be: real networks are far inside, what no network is, is refused before it costs anything."""

import tracemalloc

import numpy as np
import pytest

from accel import limits
from accel.errors import EspalierError
from accel.layers import Conv2d, Flatten, Linear, MaxPool, ReLU
from accel.network import Network
from accel.pattern import check_shape
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask
from accel.window import Window

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # 0 is a pool


def test_vgg16_is_inside() -> None:
    """The largest of the usual networks, for 224 x 224 pixels: its shapes, weights, rows and products."""
    shapes = {"input": (3, 224, 224)}
    layers, maps, side = [], 3, 224
    for number, width in enumerate(VGG16):
        name = f"l{number}"
        if width:
            layers.append(_Claims(name, (width, maps, 9)))
            maps = width
        else:
            side //= 2
        shapes[name] = (maps, side, side)
    for name, outputs, inputs in (("fc1", 4096, maps * side**2), ("fc2", 4096, 4096), ("fc3", 1000, 4096)):
        layers.append(_Claims(name, (outputs, inputs, 1)))
        shapes[name] = (outputs,)
    for layer in layers:
        check_shape(layer.lowered_shape, layer.name)
    limits.check_tensors("vgg16", layers, shapes)
    weights = sum(int(np.prod(layer.lowered_shape)) for layer in layers)
    assert weights == 138_344_128  # and 13,416 biases: torchvision's 138,357,544 parameters
    limits.check_unpacked(4 * weights, 4 * weights, "as floats")
    # at 4 bits and 1/13 of the weights (S. Han et al., Deep Compression): words, masks, and what is made of them
    limits.check_unpacked(4 * weights // 13 + 2 * weights, weights // 26 + weights // 72, "pruned")


class _Claims:
    """A layer that has only a name and a shape."""

    def __init__(self, name: str, shape: tuple[int, int, int]) -> None:
        self.name, self.lowered_shape = name, shape


def a_network(side: int = 8, padding: int = 0, layers: int = 1) -> Network:
    """Return a small network, of a side, a padding and a number of layers."""
    window = Window.square(3, 1, padding)
    chain = [Conv2d("l0", ("input",), weight=np.ones((1, 1, 3, 3)), bias=np.zeros(1), window=window)]
    chain += [ReLU(f"l{number}", (f"l{number - 1}",)) for number in range(1, layers)]
    return Network("n", (1, side, side), tuple(chain))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"side": 10**9}, "words of a tensor"),
        ({"side": 1 << 15}, "words of a tensor"),
        ({"padding": 10**5}, "its kernel, stride and padding must be at most 16384, got 100000"),
        ({"padding": 1 << 14}, "words of a tensor, its padding included,"),
        ({"layers": 5000}, "n: layers must be at most 4096, got 5000"),
        ({"side": 8000, "layers": 100}, "rows of all maps must be at most"),
    ],
)
def test_what_no_network_is(wrong: dict[str, int], words: str) -> None:
    """Giant images, paddings and chains are told in a line, and cost no memory."""
    a_network()
    tracemalloc.start()
    try:
        with pytest.raises(EspalierError, match=words):
            a_network(**wrong)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_small_file_of_a_giant_mask() -> None:
    """A mask of 2**28 equal bytes takes 260 KB in a file: it is refused before it is unpacked."""
    network = Network("n", (4, 1, 1), (Flatten("f", ("input",)), Linear("s", ("f",), weight=np.ones((1, 4)), bias=[0])))
    mask = LayerMask("irregular", np.ones((1, 4, 1), bool))
    small = PrunedNetwork(network, {"s": mask}).to_bytes()
    assert PrunedNetwork.from_bytes(small).masks["s"].kept.shape == (1, 4, 1)
    giant = np.ones((1, 1 << 27, 1), bool)
    object.__setattr__(mask, "kept", giant)
    thing = PrunedNetwork(network)
    object.__setattr__(thing, "masks", {"s": mask})
    data = thing.to_bytes()
    assert len(data) < 300_000
    tracemalloc.start()
    try:
        with pytest.raises(EspalierError, match="bytes unpack to must be at most 67108864, got 134217"):
            PrunedNetwork.from_bytes(data)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_pool_is_a_layer_too() -> None:
    """Windows of pools are bounded as those of convolutions."""
    with pytest.raises(EspalierError, match="taps must be at most 65536"):
        MaxPool("p", ("input",), Window.square(1000))

"""How large anything may be that comes from a file: checked before it is unpacked, with room for real networks.

VGG-16 has 138 million weights, which take 553 MB as floats, and a layer of 25,088 features; signals of networks for
224 x 224 pixels have 3.2 million words, those of a U-Net for 1,024 x 1,024 pixels 67 million. ResNet-1001 has 3,300
layers before batch norm is folded. What a file unpacks to is bounded by its own size too, so that what is small
stays small.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from accel.errors import EspalierError

MOST_FILE_BYTES = 1 << 31  # of any file, as protobuf has it
MOST_HEADER_BYTES = 1 << 23  # of the JSON in a file of ours
MOST_BESIDE_BYTES = 1 << 26  # of the JSON beside an exported model, which holds the index of what is kept
MOST_UNPACKED_BYTES = 1 << 31  # of all arrays of a file together
MOST_RATIO = 128  # unpacked bytes for each of the file: masks and images of few values are squeezed well
ALWAYS_UNPACKED_BYTES = 1 << 26  # whatever the ratio: 64 MiB
MOST_DIMENSIONS = 16  # of an array
MOST_MEMBERS = 1024  # arrays of an .npz file
MOST_NODES = 1 << 16  # nodes, and constants, of a graph from elsewhere
MOST_MOVES = 1 << 10  # of quantisers in such a graph, before pools

MOST_WEIGHTS = 1 << 28  # of a network before pruning
MOST_ROWS = 1 << 18  # outputs of a layer
MOST_COLUMNS = 1 << 18  # weights of an output
MOST_LAYERS = 1 << 12
MOST_HELD = 128  # tensors that are needed at one time
MOST_SIDE = 1 << 14  # of a map with its padding, of a kernel, of a stride
MOST_TAPS = 1 << 16  # of a kernel or pool
WIDEST = 1024  # of a block, run or group of kernels: more than the lanes of any array, and a padded matrix still fits
MOST_SIGNAL_WORDS = 1 << 26  # of a tensor for one image, with its padding
MOST_MAP_ROWS = 1 << 19  # of all tensors together: rows of maps
MOST_MACS = 1 << 40  # for one image


def check_limit(where: object, what: str, value: int, most: int) -> None:
    """Raise EspalierError, naming `where` and `what`, if `value` is more than `most`."""
    if value > most:
        shown = str(value) if value < 10**20 else "a number of more than 20 digits"
        raise EspalierError(f"{where}: {what} must be at most {most}, got {shown}")


def check_unpacked(unpacked_bytes: int, packed_bytes: int, where: object) -> None:
    """Raise EspalierError, naming `where`, if `packed_bytes` of a file say that they unpack to too many."""
    most = min(MOST_UNPACKED_BYTES, max(ALWAYS_UNPACKED_BYTES, MOST_RATIO * packed_bytes))
    check_limit(where, f"what {packed_bytes} bytes unpack to", unpacked_bytes, most)


def check_tensors(name: str, layers: Sequence[Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise EspalierError unless a network called `name` is as small as real ones are.

    Parameters
    ----------
    name : str
    layers : sequence of accel.layers.Layer or accel.program_layers.ProgramLayer
    shapes : mapping of str to tuple of int
        Of every tensor without the batch, by the layer that gives it, the image's among them.
    """
    check_limit(name, "layers", len(layers), MOST_LAYERS)
    for tensor, shape in shapes.items():
        check_words(tensor, shape)
    check_limit(name, "rows of all maps", sum(x[1] if len(x) == 3 else 1 for x in shapes.values()), MOST_MAP_ROWS)
    weights = macs = 0
    for layer in layers:
        shape = shapes[layer.name]
        if window := getattr(layer, "window", None):
            before = shapes[layer.inputs[0]]
            check_words(layer.name, (before[0], *window.padded_size(*before[1:])))
        per_output = math.prod(getattr(layer, "lowered_shape", getattr(layer, "shape", (1, 0, 0)))[1:])
        weights += shape[0] * per_output
        macs += math.prod(shape) * per_output
    check_limit(name, "weights", weights, MOST_WEIGHTS)
    check_limit(name, "multiply-accumulates for an image", macs, MOST_MACS)


def check_words(name: str, shape: tuple[int, ...]) -> None:
    """Raise EspalierError if a tensor, or a map with its padding, is larger than any in a real network."""
    check_limit(name, "words of a tensor, its padding included,", math.prod(shape), MOST_SIGNAL_WORDS)
    check_limit(name, "height and width of a map", max((1, *shape[1:])), MOST_SIDE)

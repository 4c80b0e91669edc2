"""What the image is: which axes of the graph's input are its maps, rows and columns."""

from collections.abc import Iterable, Mapping, Sequence

from accel.errors import EspalierError
from accel.interchange.onnx.reading.builder import Builder, Value
from accel.interchange.onnx.reading.coded import Stored
from accel.interchange.onnx.reading.file import Constant, Node
from accel.interchange.onnx.reading.views import (
    View,
    channels_last,
    permuted,
    plain,
    reshaped,
    resized,
    shape_of,
    squeezed,
    unsqueezed,
)
from accel.layers import Flatten
from accel.limits import MOST_DIMENSIONS, check_words
from accel.network import INPUT

WINDOWED = (
    "Conv", "ConvTranspose", "QLinearConv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize",
    "QLinearAveragePool", "QLinearGlobalAveragePool", "DepthToSpace", "SpaceToDepth",
)  # fmt: skip
PASSING = (
    "Identity", "Cast", "Dropout", "Add", "Sub", "Mul", "Div", "Pad", "Relu", "Clip", "BatchNormalization",
    "Quant", "IntQuant", "QuantizeLinear", "DequantizeLinear",
)  # fmt: skip
COLORS = (1, 3, 4)  # maps of an image that nothing but a matrix reads


def start(builder: Builder, nodes: Sequence[Node]) -> tuple[int, int, int]:
    """Give the graph's input its value and return our shape of it: maps, height and width.

    Maps, rows and columns are what the first convolution or pool takes for them.
    """
    graph = builder.graph
    if len(graph.inputs) != 1:
        names = ", ".join(name for name, _ in graph.inputs)
        raise EspalierError(f"the graph has {len(graph.inputs)} inputs ({names}), expected one: the image")
    ((name, shape),) = graph.inputs
    sizes = tuple(size for size in shape[1:] if size and size > 0)
    if len(shape) not in (2, 3, 4) or len(sizes) != len(shape) - 1:
        raise EspalierError(
            f"input {name!r} has the shape {shape}, expected (batch, maps, height, width), sizes fixed; --input-shape "
            "gives sizes that a file leaves open"
        )
    check_words(f"input {name!r}", sizes)
    ours, view = _as_maps(sizes, _as_read(nodes, builder.constants, name, plain(sizes)))
    builder.shapes[INPUT] = ours
    units = Stored(1.0, 0, *graph.integers[name]) if name in graph.integers else None
    builder.values[name] = Value(INPUT, view, units=units)
    if len(view) == 1 and ours[1:] == (1, 1):
        flat = Flatten(f"{INPUT}.flat", (INPUT,))
        builder.shapes[flat.name] = sizes
        builder.layers.append(flat)
        builder.values[name] = Value(flat.name, view, units=units)
    if builder.is_last(builder.values[name]):
        builder.notes.append(f"input {name!r} is channels-last; the network takes (maps, height, width)")
    elif view != plain(ours) and len(view) > 1:
        builder.notes.append(f"input {name!r} {sizes} is taken as (maps, height, width) = {ours}")
    return ours


def _as_maps(sizes: tuple[int, ...], read: View | None) -> tuple[tuple[int, int, int], View]:
    """Return our shape of the image and how the graph shows it; `read` is how the first window sees the graph's."""
    if read is None or len(read) not in (2, 3) or any(len(axis) > 1 for axis in read):
        return _unread(sizes)
    maps, height, width = (*shape_of(read), 1)[:3]
    ours = maps, height, width
    factors = [
        (stride, size, our_stride)
        for axis, our_axis in zip(read, plain(ours), strict=False)
        for (size, stride), (_, our_stride) in zip(axis, our_axis, strict=True)
    ]
    run = tuple((size, our_stride) for _, size, our_stride in sorted(factors, reverse=True))
    view = reshaped((run,), sizes)
    return _unread(sizes) if view is None else (ours, view)


def _unread(sizes: tuple[int, ...]) -> tuple[tuple[int, int, int], View]:
    """Return the shape of an image that no window reads: (height, width), or with its colours first or last."""
    match sizes:
        case (features,):
            return (features, 1, 1), plain(sizes)
        case (height, width):
            return (1, height, width), plain(sizes)
        case (first, height, last) if first not in COLORS and last in COLORS:
            return (last, first, height), channels_last((last, first, height))
    maps, height, width = sizes
    return (maps, height, width), plain(sizes)


def _as_read(nodes: Iterable[Node], constants: Mapping[str, Constant], name: str, view: View) -> View | None:
    """Return how the first convolution or pool that the tensor `name` reaches sees it, now under `view`."""
    for node in nodes:
        if name not in node.inputs[:1] and not (node.op in ("Add", "Mul") and name in node.inputs):
            continue
        if node.op in WINDOWED:
            return view
        after = _after(node, constants, view)
        if after is None:
            return None
        name, view = node.outputs[0], after
    return None


def _after(node: Node, constants: Mapping[str, Constant], view: View) -> View | None:
    """Return how a node shows what it reads as `view`; None if it does more than show it."""
    listed = node.get("axes", ())
    given = constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if given is not None and given.dtype.kind in "iu" and given.size <= MOST_DIMENSIONS:
        listed = tuple(given.ravel().tolist())
    match node.op:
        case "Transpose":
            return permuted(view, node.get("perm", ()))
        case "Reshape":
            return resized(view, listed[1:])
        case "Unsqueeze":
            return unsqueezed(view, listed)
        case "Squeeze":
            return squeezed(view, listed)
    return view if node.op in PASSING else None

"""ONNX files that no network or Program stands for exactly: each is refused in one line, and reads nothing else."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.onnx_graphs import Drawing

from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import import_model


def small(*input_shape: int | str) -> Drawing:
    """Return a drawing for images of 2 maps of 8 x 8, or of another shape."""
    return Drawing(*(input_shape or ("batch", 2, 8, 8)))


def conv_then(*nodes: tuple[str, dict[str, Any]]) -> Drawing:
    """Return a convolution with nodes after it."""
    g = small()
    g.conv(3, 2, 3)
    for op, settings in nodes:
        g.node(op, **settings)
    return g


def with_constants(op: str, *arrays: Any, **settings: Any) -> Drawing:
    """Return a convolution and a node that reads constants too."""
    g = small()
    g.conv(3, 2, 3)
    g.node(op, "", *map(g.constant, arrays), **settings)
    return g


def open_size() -> Drawing:
    """Return a network whose image has no fixed height."""
    g = small("batch", 2, "height", 8)
    g.conv(3, 2, 3)
    return g


POOL: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
REFUSED: list[tuple[str, Callable[[], Drawing], str]] = [
    ("operator", lambda: conv_then(("Sin", {})), "Sin 'sin1': is no operator that is read here, where"),
    ("dilations", lambda: conv_with(dilations=[0, 2]), "Conv 'conv0': attribute dilations is [0, 2], expected at"),
    (
        "dilations of a pool",
        lambda: conv_then(("MaxPool", POOL | {"dilations": [2, 2]})),
        "MaxPool 'maxpool1': attribute dilations is [2, 2], expected [1, 1]",
    ),
    ("auto_pad", lambda: conv_with(auto_pad="SAME"), "Conv 'conv0': attribute auto_pad is 'SAME', expected NOTSET"),
    ("kernel_shape", lambda: conv_with(kernel_shape=[2, 2]), "attribute kernel_shape is (2, 2), its kernels"),
    ("groups", lambda: conv_with(group=2), "Conv 'conv0': conv0: 3 outputs do not fall into 2 groups"),
    ("negative pads", lambda: conv_with(pads=[-1, 0, 0, 0]), "kernel and stride must be at least 1, padding"),
    (
        "count_include_pad",
        lambda: conv_then(("AveragePool", POOL | {"pads": [1, 1, 1, 1]})),
        "AveragePool 'averagepool1': attribute count_include_pad is 0 with padding: divisors differ at the edges",
    ),
    (
        "ceil_mode",
        lambda: conv_then(("AveragePool", POOL | {"kernel_shape": [3, 3], "ceil_mode": 1})),
        "AveragePool 'averagepool1': attribute ceil_mode is 1 and a last window reaches past the padding; expected 0",
    ),
    ("pool of a negative pad", lambda: conv_then(("MaxPool", {})), "MaxPool 'maxpool1': has no attribute kernel_shape"),
    (
        "clip from below zero",
        lambda: with_constants("Clip", np.float32(-1), np.float32(1)),
        "Clip 'clip1': its lower bound (min) is -1.0, expected 0",
    ),
    (
        "a Pad with ones",
        lambda: with_constants("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(1)),
        "Pad 'pad1': pads with 1.0, expected zeros",
    ),
    ("flatten", lambda: conv_then(("Flatten", {"axis": 2})), "Flatten 'flatten1': attribute axis is 2, expected 1"),
    (
        "reshape",
        lambda: with_constants("Reshape", np.array([-1, 5, 7])),
        "Reshape 'reshape1': gives the shape (-1, 5, 7) from (3, 6, 6), expected (batch, 108), a flatten, or",
    ),
    ("transpose", lambda: conv_then(("Transpose", {"perm": [1, 0, 2, 3]})), "Transpose 'transpose1': attribute perm"),

    (
        "concat",
        lambda: conv_then(("Concat", {"axis": 2})),
        "Concat 'concat1': attribute axis is 2, expected 1: the maps",
    ),
    (
        "softmax inside",
        lambda: conv_then(("Softmax", {"axis": 1}), ("Relu", {})),
        "Relu 'relu2': reads what Softmax or ArgMax gives; these may only stand at the end",
    ),
    (
        "softmax over the width",
        lambda: conv_then(("Softmax", {})),
        "Softmax 'softmax1': attribute axis is -1, expected 1: the classes",
    ),
    (
        "a product of signals",
        lambda: product_of_signals(),
        "Mul 'mul2': multiplies (3, 6, 6) and (1, 6, 6), expected two signals of one shape, or maps and a",
    ),
    (
        "a constant for each pixel",
        lambda: with_constants("Mul", np.ones((6, 6), np.float32)),
        "Mul 'mul1': a constant of shape (6, 6) is not one number, nor one for each map of (1, 3, 6, 6)",
    ),
    ("matmul of maps", lambda: with_constants("MatMul", np.ones((6, 4), "f")), "expects features (batch, features"),
    ("an open size", open_size, "input 'image' has the shape (None, 2, None, 8), expected (batch, maps, height"),
    ("no weights", lambda: no_weights(), "has no layer with weights"),
    ("infinite weights", lambda: infinite(), "Conv 'conv0': conv0: weight holds a value that is not finite"),
]  # fmt: skip


def conv_with(**settings: Any) -> Drawing:
    """Return one convolution with these attributes."""
    g = small()
    weight = np.ones((3, 2 // settings.get("group", 1), 3, 3), np.float32)
    g.node("Conv", "", g.constant(weight), **settings)
    return g


def product_of_signals() -> Drawing:
    """Return two convolutions whose outputs are multiplied, one of which has a single map."""
    g = small()
    left = g.conv(3, 2, 3, "image")
    g.node("Mul", left, g.conv(1, 2, 3, "image"))
    return g


def no_weights() -> Drawing:
    """Return a pool alone."""
    g = small()
    g.node("MaxPool", **POOL)
    return g


def infinite() -> Drawing:
    """Return a convolution one weight of which is no number."""
    g = small()
    g.node("Conv", "", g.constant(np.full((3, 2, 3, 3), np.inf, np.float32)))
    return g


class TestRefusals:
    @pytest.mark.parametrize(("draw", "words"), [x[1:] for x in REFUSED], ids=[x[0] for x in REFUSED])
    def test_the_line(self, tmp_path: Path, draw: Callable[[], Drawing], words: str) -> None:
        """What a network does not have is refused with the node, the attribute and what is expected."""
        drawing = draw()
        path = drawing.save(tmp_path / "model.onnx", *drawing.extra)
        with pytest.raises(EspalierError) as caught:
            import_model(path)
        assert words in str(caught.value)
        assert str(caught.value).startswith(f"{path}: ")

    def test_a_cycle(self, tmp_path: Path) -> None:
        """Nodes that wait for each other are refused, not followed."""
        g = small()
        g.conv(3, 2, 3)
        g.node("Add", "conv0_out", "later_out")
        g.node("Relu", "add1_out", outputs=["later_out"])
        with pytest.raises(EspalierError, match="reads 'later_out', which no earlier node gives"):
            import_model(g.save(tmp_path / "model.onnx"))

    def test_no_onnx(self, tmp_path: Path) -> None:
        """Another file is no ONNX file, nor is an empty one."""
        for data in (b"", b"hello", b"\x89PNG\r\n\x1a\n", bytes(100)):
            (tmp_path / "x.onnx").write_bytes(data)
            with pytest.raises(EspalierError, match="is not an ONNX"):
                import_model(tmp_path / "x.onnx")


class TestExternalData:
    def written(self, folder: Path, location: str, offset: int = 0) -> Path:
        """Return a model whose weights lie in another file."""
        g = small()
        g.conv(3, 2, 3, bias=False)
        (weight,) = g.constants
        (folder / "weights").write_bytes(weight.raw_data)
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", str(offset)), ("length", "216")):
            weight.external_data.add(key=key, value=value)
        (folder / "model").mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(g.model().SerializeToString())
        return folder / "model.onnx"

    def test_inside(self, tmp_path: Path) -> None:
        """Weights in the model's folder are read."""
        network = import_model(self.written(tmp_path, "weights")).result.network
        assert network.weighted[0].weight.tobytes() == (tmp_path / "weights").read_bytes()

    @pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "model/../../secret", "link", "", "a\0b"])
    def test_outside(self, tmp_path: Path, location: str) -> None:
        """A path that leaves the folder is refused, through links too, whether there is something or not."""
        folder = tmp_path / "here"
        folder.mkdir()
        (tmp_path / "secret").write_bytes(bytes(216))
        (folder / "link").symlink_to(tmp_path / "secret")
        with pytest.raises(EspalierError, match="expected a file in the model's folder"):
            import_model(self.written(folder, location))

    @pytest.mark.parametrize(
        ("location", "offset"), [("weights", 1), ("weights", -1), ("weights", 9**30), ("model", 0)]
    )
    def test_not_there(self, tmp_path: Path, location: str, offset: int) -> None:
        """So is a place that does not hold the weights."""
        with pytest.raises(EspalierError, match=r"does not hold 216 bytes|is no file"):
            import_model(self.written(tmp_path, location, offset))


@pytest.mark.parametrize("node", [{"op": "Concat", "axis": 1}, {"op": "Mul"}], ids=["doubled", "scaled"])
def test_maps_that_double(node: dict[str, Any], tmp_path: Path) -> None:
    """Maps beyond any network's are refused before there is an array with a number for each."""
    g = Drawing("batch", 1, 1, 1)
    for _ in range(30 if node["op"] == "Concat" else 23):
        g.node("Concat", "", g.last, axis=1)
    if node["op"] == "Mul":
        g.node("Mul", "", g.constant(np.float32([2])))
    path = tmp_path / "a.onnx"
    path.write_bytes(g.model().SerializeToString())
    tracemalloc.start()
    try:
        with pytest.raises(EspalierError, match="must be at most 67108864, got 1"):
            import_model(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()

"""Operators that make maps larger, or multiply signals, are computed as onnxruntime does, or refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import Drawing, images, runtime

from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import import_model
from accel.network import Network

SHAPE = (4, 5, 6)
Array = np.ndarray[Any, np.dtype[Any]]


def drawing(opset: int = 21) -> Drawing:
    """Return a graph of maps, behind a convolution of 1x1 kernels."""
    g = Drawing("batch", *SHAPE, opset=opset)
    g.conv(4, 4, 1)
    return g


def transposed(outputs: int, kernel: tuple[int, int], **attributes: Any) -> Drawing:
    """Return a graph that ends in a transposed convolution."""
    g = drawing()
    weight = g.rng.normal(0, 1, (4, outputs // attributes.get("group", 1), *kernel)).astype(np.float32)
    bias = g.rng.normal(0, 1, outputs).astype(np.float32)
    g.node("ConvTranspose", "", g.constant(weight), g.constant(bias), **attributes)
    return g


def one(op: str, opset: int = 21, constants: tuple[Any, ...] = (), **attributes: Any) -> Drawing:
    """Return a graph that ends in one node, whose other inputs are constants; None is one that is not given."""
    g = drawing(opset)
    source, extra = g.last, [g.constant(x) if x is not None else "" for x in constants]
    g.node(op, source, **attributes)
    g.nodes[-1].input.extend(extra)
    return g


def imported(drawing: Drawing, folder: Path) -> Network:
    """Return the network of a graph."""
    return import_model(drawing.save(folder / "x.onnx")).result.network  # type: ignore[union-attr]


def far(network: Network, folder: Path, shape: tuple[int, ...] = SHAPE) -> float:
    """Return how far a network is from onnxruntime at most, as a share of the largest number."""
    batch = images(shape)
    (expected,) = runtime(folder / "x.onnx", batch)
    found = network.scores(batch.reshape(len(batch), *network.input_shape))
    return float(np.abs(found.reshape(expected.shape) - expected).max() / np.abs(expected).max())


SCALES = np.array([1, 1, 2, 3], np.float32)
SIZES = np.array([2, 4, 10, 18])  # of the batch too
ASYMMETRIC = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
CASES: dict[str, Callable[[], Drawing]] = {
    "transposed": lambda: transposed(3, (2, 2), strides=[2, 2]),
    "transposed, padded": lambda: transposed(3, (3, 4), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 0]),
    "transposed, groups": lambda: transposed(6, (3, 3), strides=[1, 2], group=2, pads=[1, 0, 0, 2]),
    "transposed, dilated": lambda: transposed(2, (2, 3), strides=[3, 1], dilations=[2, 2]),
    "transposed, more cut than kernels reach": lambda: transposed(2, (1, 2), strides=[2, 2], pads=[1, 2, 1, 2]),
    "transposed, kernels smaller than strides": lambda: transposed(2, (1, 1), strides=[3, 2], output_padding=[1, 1]),
    "transposed, a shape": lambda: transposed(2, (3, 3), strides=[2, 2], output_shape=[10, 12]),
    "transposed, SAME": lambda: transposed(2, (3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    "transposed, SAME_LOWER": lambda: transposed(2, (3, 3), strides=[2, 2], auto_pad="SAME_LOWER"),
    "resize": lambda: one("Resize", constants=(None, SCALES)),
    "resize, sizes": lambda: one("Resize", constants=(None, None, SIZES), **ASYMMETRIC),
    "resize, axes": lambda: one("Resize", constants=(None, None, SIZES[2:]), axes=[2, 3]),
    "resize, opset 11": lambda: one("Resize", 11, (np.zeros(0, np.float32), SCALES), **ASYMMETRIC),
    "resize, opset 10": lambda: one("Resize", 10, (SCALES,)),
    "upsample, opset 9": lambda: one("Upsample", 9, (SCALES,)),
    "upsample, opset 7": lambda: one("Upsample", 7, scales=SCALES.tolist()),
    "depth to space": lambda: one("DepthToSpace", blocksize=2),
    "pixel shuffle": lambda: one("DepthToSpace", blocksize=2, mode="CRD"),
}


@pytest.mark.parametrize("name", CASES)
def test_larger_maps(tmp_path: Path, name: str) -> None:
    """Transposed convolutions, nearest resizes and pixel shuffles are onnxruntime's."""
    assert far(imported(CASES[name](), tmp_path), tmp_path) < 1e-5


def test_space_to_depth(tmp_path: Path) -> None:
    """Cells of pixels become maps."""
    g = Drawing("batch", 3, 4, 6)
    g.conv(2, 3, 1)
    g.node("SpaceToDepth", blocksize=2)
    assert far(imported(g, tmp_path), tmp_path, (3, 4, 6)) < 1e-5


def test_one_direction(tmp_path: Path) -> None:
    """A transposed convolution along time alone."""
    g = Drawing("batch", 3, 7)
    weight = g.rng.normal(0, 1, (3, 2, 4)).astype(np.float32)
    g.node("ConvTranspose", "", g.constant(weight), strides=[2], pads=[1, 1])
    assert far(imported(g, tmp_path), tmp_path, (3, 7)) < 1e-5


@pytest.mark.parametrize("way", ["squeeze-and-excitation", "of two signals", "of features", "channels last"])
def test_products(tmp_path: Path, way: str) -> None:
    """Maps times a number for each, which come as maps of a pixel or as features; and two signals of one shape."""
    g = drawing()
    maps = g.last
    if way == "channels last":
        maps = g.node("Transpose", perm=[0, 2, 3, 1])
        g.node("ReduceMean", maps, g.constant(np.array([1, 2])), keepdims=1)
        g.node("Mul", g.node("Sigmoid"), maps)
    elif way == "of two signals":
        g.node("Mul", g.conv(4, 4, 1), maps)
    else:
        g.node("GlobalAveragePool")
        if way == "of features":
            g.node("Flatten")
            g.gemm(4, 4)
            g.node("Sigmoid")
            g.node("Reshape", "", g.constant(np.array([-1, 4, 1, 1])))
        g.node("Mul", g.node("HardSigmoid"), maps)
    network = imported(g, tmp_path)
    batch = images(SHAPE)
    (expected,) = runtime(tmp_path / "x.onnx", batch)
    expected = np.moveaxis(expected, -1, 1) if way == "channels last" else expected
    assert np.abs(network.scores(batch) - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_wrong_kernel_is_seen(tmp_path: Path) -> None:
    """Negative control: with one weight of a transposed convolution changed, the maps are others."""
    network = imported(CASES["transposed"](), tmp_path)
    last = network.weighted[-1]
    weight = np.array(last.weight)
    weight[0, 0, 0, 0] += 1
    assert far(network.with_weights({last.name: weight}), tmp_path) > 1e-3


REFUSED: dict[str, tuple[Callable[[], Drawing], str]] = {
    "linear": (lambda: one("Resize", constants=(None, SCALES), mode="linear"), "mode is 'linear', expected nearest"),
    "smaller": (lambda: one("Resize", constants=(None, SCALES / 2)), r"makes maps \(1.0, 1.5\) times as large"),
    "corners": (
        lambda: one("Resize", constants=(None, SCALES), coordinate_transformation_mode="align_corners"),
        "its pixels do not repeat",
    ),
    "maps of two channels": (lambda: one("Mul"), "has 1 inputs, expected 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(tmp_path: Path, name: str) -> None:
    """What is no repetition of pixels is refused, and the line names the attribute."""
    drawn, line = REFUSED[name]
    with pytest.raises(EspalierError, match=line):
        imported(drawn(), tmp_path)


def test_products_of_other_shapes(tmp_path: Path) -> None:
    """A number for each pixel, as spatial attention has it, is refused with both shapes."""
    g = drawing()
    maps = g.last
    g.node("Mul", g.conv(1, 4, 1), maps)
    with pytest.raises(
        EspalierError, match=r"multiplies \(4, 5, 6\) and \(1, 5, 6\), expected two signals of one shape"
    ):
        imported(g, tmp_path)


def test_several_outputs(tmp_path: Path) -> None:
    """They are one vector, one after another, and a note says where each lies; `outputs` names one alone."""
    g = drawing()
    maps = g.last
    first, second = g.node("Relu", g.conv(2, 4, 3, maps)), g.conv(3, 4, 1, maps)
    path = g.save(tmp_path / "x.onnx", first, second)
    found = import_model(path)
    batch = images(SHAPE)
    expected = np.concatenate([x.reshape(len(batch), -1) for x in runtime(path, batch)], axis=1)
    scores = found.result.network.scores(batch)  # type: ignore[union-attr]
    assert np.abs(scores - expected).max() < 1e-5
    (note,) = found.notes
    assert f"'{first}' (2, 3, 4) at 0..23, '{second}' (3, 5, 6) at 24..113" in note
    alone = import_model(path, outputs=[second]).result.network  # type: ignore[union-attr]
    assert alone.shapes[alone.output] == (3, 5, 6)

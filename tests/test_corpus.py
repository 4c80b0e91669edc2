"""Networks as people write them go from PyTorch's file to the array: imported, sized, quantised, run, assembled.

Each is exported by PyTorch's older exporter; those whose graphs the two exporters write most differently by the newer
one too. What does not go all the way is refused by a line that stands here.
"""

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import runtime

from accel.array import MacArray
from accel.cost import total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import import_model
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from rtl.assemble import assemble
from rtl.simulate import simulate
from sim import golden
from sim.engine import compile_program

torch = pytest.importorskip("torch", reason="exports the networks: pip install espalier-hw[peers,examples]")
pytest.importorskip("onnxruntime", reason="the referee: pip install espalier-hw[peers]")
from support.corpus import CORPUS, made  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of PyTorch's exporters, about themselves
Array = np.ndarray[Any, np.dtype[Any]]
CLOSE = 1e-4  # of the largest number, what float32 sums in another order may make
ROUNDED = 0.06  # of all numbers, what words of 8 bits may make; measured: at most 0.052, of convolutions with SiLU
GELU_OPSET, OPSET = 20, 17
TWICE = (  # by both exporters: views, pads, slices, reductions and names that these write in ways of their own
    "plain", "mobilenet-v3", "shufflenet-v2", "unet-nearest", "espcn", "tcn", "csp-focus",
)  # fmt: skip
FILES = [*((name, False) for name in CORPUS), *((name, True) for name in TWICE)]
GATED = "the array runs no MulLayer yet: its multipliers take a weight of the Program on one side"
REFUSED = {  # what does not go all the way, and the line that says so
    "efficientnet": GATED,
    "mobilenet-v3": GATED,
    "nin": "attribute ceil_mode is 1 and a last window reaches past the padding; expected 0",
}


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Let PyTorch run on one thread, and say nothing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    torch.set_num_threads(threads)


def exported(name: str, newer: bool, folder: Path) -> Path:
    """Return the file that an exporter of PyTorch writes."""
    path, example = folder / "model.onnx", (torch.randn(1, *CORPUS[name][1]),)
    older = {"opset_version": GELU_OPSET if name == "convmixer" else OPSET}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(made(name), example, str(path), dynamo=newer, **({} if newer else older))
    return path


def images_of(name: str, count: int) -> Array:
    """Return random images as a network takes them."""
    return np.random.default_rng(1).normal(0, 1, (count, *CORPUS[name][1])).astype(np.float32)


def numbers(path: Path, images: Array) -> Array:
    """Return all numbers that onnxruntime gives for each image."""
    runs = [runtime(path, image[None]) for image in images]
    return np.stack([np.concatenate([output.ravel() for output in run]) for run in runs])


def float_network(path: Path, images: Array) -> tuple[PrunedNetwork, float]:
    """Return what a file is imported as, and how far it is from onnxruntime."""
    pruned, expected = import_model(path).result, numbers(path, images)
    assert isinstance(pruned, PrunedNetwork)
    found = pruned.network.scores(images.reshape(len(images), *pruned.network.input_shape)).reshape(expected.shape)
    return pruned, float(np.abs(found - expected).max() / np.abs(expected).max())


def quantized(pruned: PrunedNetwork, images: Array) -> tuple[Program, Array]:
    """Return the Program of 8 bits, calibrated with images, and their codes."""
    batch = images.reshape(len(images), *pruned.network.input_shape)
    program = lower(pruned, Widths(8, 8), batch)
    return program, program.input_signal.encode(batch)


def end_to_end(name: str, newer: bool, folder: Path) -> tuple[Program, MacArray]:
    """Take a network all the way; raise AssertionError where two readers differ, EspalierError where one refuses."""
    path, images = exported(name, newer, folder), images_of(name, 2)
    pruned, distance = float_network(path, images)
    assert distance < CLOSE
    program, codes = quantized(pruned, images)
    tensors = golden.run(program, codes)
    found = compile_program(program).run(codes, threads=1, keep_tensors=True).tensors
    assert [tensor for tensor in tensors if not np.array_equal(found[tensor], tensors[tensor])] == []
    scores, expected = program.signals[program.output].decode(tensors[program.output]), numbers(path, images)
    assert np.linalg.norm(scores.reshape(expected.shape) - expected) < ROUNDED * np.linalg.norm(expected)
    array = array_for(program, 4, 4)
    assert assemble(program, array).layers
    assert total_cycles(program, array) > math.prod(program.shapes[program.output]) / 16
    return program, array


@pytest.mark.parametrize(("name", "newer"), FILES)
def test_end_to_end(name: str, newer: bool, tmp_path: Path) -> None:
    """Floats are onnxruntime's, the engine's codes golden's, an array is made; or a line says what is missing."""
    if name in REFUSED:
        with pytest.raises(EspalierError) as caught:
            end_to_end(name, newer, tmp_path)
        assert REFUSED[name] in str(caught.value)
    else:
        end_to_end(name, newer, tmp_path)


def test_nine_of_ten() -> None:
    """Of the networks nine of ten go all the way, and there are at least 20."""
    assert len(CORPUS) >= 20
    assert len(REFUSED.keys() & CORPUS.keys()) <= len(CORPUS) / 10


def test_on_the_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pixel shuffle runs on the hardware in golden's codes and the closed form's cycles."""
    monkeypatch.setitem(CORPUS, "espcn", (CORPUS["espcn"][0], (1, 4, 3)))
    program, array = end_to_end("espcn", False, tmp_path)
    pixels = program.input_signal.encode(images_of("espcn", 1))
    (run,) = simulate(program, array, pixels)
    assert np.array_equal(run.codes, golden.run(program, pixels)[program.output][0])
    assert run.cycles - run.stalls == total_cycles(program, array)


def test_a_wrong_weight_is_seen(tmp_path: Path) -> None:
    """Negative control: with one weight changed the floats are farther from onnxruntime's than any may be."""
    path, images = exported("plain", False, tmp_path), images_of("plain", 2)
    pruned, _ = float_network(path, images)
    last = pruned.network.weighted[-1]
    weight = np.array(last.weight)
    weight[0, 0] += 1
    found = pruned.network.with_weights({last.name: weight}).scores(images)
    expected = numbers(path, images)
    assert np.abs(found - expected).max() > CLOSE * np.abs(expected).max()

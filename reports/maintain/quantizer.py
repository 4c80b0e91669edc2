"""How near what onnxruntime quantised stays to onnxruntime once it is imported: ``reports/studies/quantizer``.

    python -m reports.maintain.quantizer --data-dir DIR --work FOLDER

Networks that were trained on CIFAR-10 are written as ONNX by PyTorch, quantised by onnxruntime's static quantiser in
both of its formats, per tensor and per map, imported with multipliers of 32 bits and with those of 16 that are nearest
to the file's, and run on test images beside onnxruntime. A network that lies in FOLDER is taken, such as
``resnet20.espalier``, the dense one of ``reports.studies.trained train``; what does not is trained first. So is a file
of others, ``resnet8-mlperf-tiny.onnx`` of MLPerf Tiny, where it lies there. Results are written as they come.
"""

import importlib
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from accel.files import write_whole
from accel.interchange.data import datasets
from accel.interchange.data.datasets import Dataset
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.interchange.zoo.architectures import resnet20
from accel.layers import BatchNorm, Conv2d, Flatten, GlobalAvgPool, Layer, Linear, ReLU
from accel.network import INPUT, Network
from accel.pruned import PrunedNetwork
from accel.window import Window
from reports.shared import markdown, output
from reports.shared.journal import results_of, write_results
from reports.shared.progress import bar
from reports.shared.words import percent, share
from reports.workflow.agreement import RUNTIME, agreement_of, agreement_of_layers

STUDY = Path(__file__).parents[1] / "studies" / "quantizer"
DATA = "cifar-10"
CALIBRATION = 256  # training images that the quantiser sees
ALONE = 32  # test images on which each layer is given the file's own codes
FORMATS, SCALES, READINGS = ("QDQ", "QOperator"), ("per tensor", "per map"), ("32 bits", "nearest")
SETTINGS: dict[str, dict[str, Any]] = {"32 bits": {"multiplier_bits": 32}, "nearest": {"nearest": True}}
BLOCKS = ((32, 2), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1))  # maps and stride
HEAD = """# Files of onnxruntime's quantiser

    python -m reports.maintain.quantizer --data-dir DIR --work FOLDER

{networks}, trained on CIFAR-10, as float ONNX (of PyTorch's exporter; MLPerf Tiny's own file of tf2onnx), quantised by
`quantize_static` of onnxruntime with {calibration} training images (signals as QUInt8; the rest is its defaults), and
imported twice: by `--multiplier-bits 32`, where every code is what the file's numbers say as reals, and by `--nearest`,
with multipliers of 16 bits. Both run on {images:,} test images beside onnxruntime, which computes scales and means in
float32. Codes are those of all tensors; what one layer makes otherwise goes on through the others. Layers alone are
each given the file's own codes, of {alone} images. How well a network was trained, its errors say.

{summary}
"""
HEADS = (
    "network | format | scales | multipliers | layers changed | equal codes | least of a tensor | largest difference "
    "| equal codes, layers alone | largest, alone | same class | errors | of onnxruntime"
)


def mobilenet() -> Network:
    """Return a small MobileNetV1 for images of 32 x 32, of six blocks.

    Source: Howard et al., "MobileNets" (arXiv 1704.04861), table 1, whose blocks these are; they are fewer and narrower
    here, and the first convolution has stride 1.
    """
    layers, maps = [*_normalized("conv", INPUT, 16, 3, 3)], 16
    for block, (outputs, stride) in enumerate(BLOCKS, start=1):
        layers += _normalized(f"depthwise{block}", layers[-1].name, maps, maps, 3, stride, groups=maps)
        layers += _normalized(f"pointwise{block}", layers[-1].name, outputs, maps, 1)
        maps = outputs
    scores = Linear("fc", ("flatten",), weight=np.zeros((10, maps), np.float32), bias=np.zeros(10, np.float32))
    end = GlobalAvgPool("mean", (layers[-1].name,)), Flatten("flatten", ("mean",)), scores
    return Network("mobilenet", (3, 32, 32), (*layers, *end))


def _normalized(
    name: str, source: str, outputs: int, maps: int, kernel: int, stride: int = 1, groups: int = 1
) -> Iterator[Layer]:
    """Yield a convolution that keeps the size of a map, or halves it, its batch norm and its ReLU."""
    weight, zeros, ones = np.zeros((outputs, maps // groups, kernel, kernel)), np.zeros(outputs), np.ones(outputs)
    window = Window.square(kernel, stride, kernel // 2)
    yield Conv2d(
        name, (source,), weight=weight.astype(np.float32), bias=zeros.astype(np.float32), window=window, groups=groups
    )
    one, zero = ones.astype(np.float32), zeros.astype(np.float32)
    yield BatchNorm(f"{name}-norm", (name,), one, zero, zero, one)
    yield ReLU(f"{name}-relu", (f"{name}-norm",))


NETWORKS: dict[str, Callable[[], Network]] = {"resnet20": resnet20, "mobilenet": mobilenet}
FILES = {"resnet8-mlperf-tiny": 255.0}  # of others, and what they take a full pixel as


class Case(NamedTuple):
    """A network as one file has it, and how that is read."""

    network: str
    form: str
    scales: str
    reading: str

    def __str__(self) -> str:
        return ", ".join(self)


def trained(name: str, data_dir: str | None, work: Path, epochs: int) -> PrunedNetwork:
    """Return the network of a name: the one that lies in a folder, or one that is trained and put there."""
    path = work / f"{name}.espalier"
    if not path.exists():
        from accel.train import Recipe, fit, initialize

        start = PrunedNetwork(initialize(NETWORKS[name](), np.random.default_rng(0)), data=DATA)
        recipe = Recipe(epochs, 128, 0.2, weight_decay=5e-4, schedule="onecycle", shift_pixels=2, flip=True)
        images = datasets.load(DATA, "train", data_dir)
        fit(start, images.pixels(), images.labels, recipe, checkpoint=work / f"{name}.checkpoint").save(path)
    return PrunedNetwork.load(path)


def float_file(name: str, data_dir: str | None, work: Path, epochs: int) -> bytes:
    """Return a network as ONNX: the file of that name in a folder, or what PyTorch writes of a trained one."""
    if name in FILES:
        return (work / f"{name}.onnx").read_bytes()
    from accel.train.exported import onnx_of_network

    return onnx_of_network(trained(name, data_dir, work, epochs).network)


def images_for(name: str, split: str, count: int, data_dir: str | None) -> Dataset:
    """Return the first images of a split as a network takes them."""
    images = datasets.load(DATA, split, data_dir).take(count)
    scaled = (images.pixels() * np.float32(FILES.get(name, 1.0))).astype(np.float32)
    return replace(images, images=scaled, full_scale=1)


def quantized(path: Path, images: Dataset, form: str, per_map: bool) -> Path:
    """Return the file that onnxruntime's static quantiser makes of one of floats, calibrated with images."""
    quantization = importlib.import_module(f"{RUNTIME}.quantization")
    prepare = importlib.import_module(f"{RUNTIME}.quantization.shape_inference").quant_pre_process
    taken = importlib.import_module(RUNTIME).InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()[0]
    pixels = images.pixels() if taken.shape[1] == images.images.shape[1] else images.pixels().transpose(0, 2, 3, 1)
    feed = iter([{taken.name: image[None]} for image in pixels])
    reader = type("Reader", (quantization.CalibrationDataReader,), {"get_next": lambda self: next(feed, None)})
    written = path.with_name(f"{path.stem}-{form}-{per_map}.onnx")
    kinds, form_of = quantization.QuantType, quantization.QuantFormat[form]
    types = {"activation_type": kinds.QUInt8, "weight_type": kinds.QInt8}
    logging.disable(logging.WARNING)  # what it tells of its own ways
    try:
        prepare(path, written, skip_symbolic_shape=True)
        quantization.quantize_static(written, written, reader(), quant_format=form_of, per_channel=per_map, **types)
    finally:
        logging.disable(logging.NOTSET)
    return written


def measured(path: Path, reading: str, images: Dataset) -> dict[str, Any]:
    """Return how an imported file agrees with onnxruntime on images."""
    found = import_model(path, **SETTINGS[reading])
    assert isinstance(found, ImportedProgram)
    (changed,) = [note for note in found.notes if note.startswith("nearest: ")] or ["none"]
    of, alone = (
        agreement_of(path, found, images),
        agreement_of_layers(path, found, images.take(min(ALONE, len(images)))),
    )
    counts = {"images": of.images, "agreeing": of.agreeing, "errors": of.errors, "file_errors": of.file_errors}
    tensors = {"tensors": [asdict(x) for x in of.tensors], "alone": [asdict(x) for x in alone]}
    return {"changed": changed.removeprefix("nearest: ").split(" is ")[0].split(" are ")[0]} | counts | tensors


def make(data_dir: str | None, work: Path, out: Path, count: int, epochs: int, names: Iterable[str]) -> None:
    """Measure every case of some networks that has no result yet; write results after each, and then the page."""
    with output.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
    done = results_of(out, "cases")
    left = [case for case in map(Case._make, product(names, FORMATS, SCALES, READINGS)) if str(case) not in done]
    with bar("files", len(left)) as shown, tempfile.TemporaryDirectory() as folder:
        for case in left:
            path = Path(folder) / f"{case.network}.onnx"
            if not path.exists():
                path.write_bytes(float_file(case.network, data_dir, work, epochs))
            calibration = images_for(case.network, "train", CALIBRATION, data_dir)
            file = quantized(path, calibration, case.form, case.scales == "per map")
            done[str(case)] = measured(file, case.reading, images_for(case.network, "test", count, data_dir))
            write_results(out, {"cases": done})
            shown.advance()
    write_whole(out / "README.md", page({Case(*name.split(", ")): row for name, row in done.items()}).encode())


def page(rows: Mapping[Case, Mapping[str, Any]]) -> str:
    """Return the page over all cases."""
    first = next(iter(rows.values()))
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(case.network for case in rows))
    head = HEAD.format(
        networks=names, calibration=CALIBRATION, images=first["images"], alone=ALONE, summary=summary(rows)
    )
    return f"{head}\n{markdown.table(HEADS, 'l' * 13, map(_row, rows, rows.values()))}\n"


def summary(rows: Mapping[Case, Mapping[str, Any]]) -> str:
    """Return what was found, in a paragraph: the least agreement, and the largest differences."""
    said = []
    for reading in READINGS:
        of = [row for case, row in rows.items() if case.reading == reading]
        classes = min((_counts(row) for row in of), key=_ratio)
        codes, alone = (min((_equal(row[kind]) for row in of), key=_ratio) for kind in ("tensors", "alone"))
        far, near = (max(_largest(row[kind]) for row in of) for kind in ("tensors", "alone"))
        said.append(
            f"{reading}: at least {share(*classes)} of classes agree and {share(*codes)} of codes, the others by at "
            f"most {far}; of layers alone {share(*alone)}, by at most {near}"
        )
    return f"**{'. '.join(said)}.**"


def _counts(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["agreeing"], row["images"]


def _ratio(counts: tuple[int, int]) -> float:
    return counts[0] / counts[1]


def _equal(tensors: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    found = [*tensors]
    return sum(x["equal"] for x in found), sum(x["words"] for x in found)


def _largest(tensors: Iterable[Mapping[str, Any]]) -> int:
    return max(x["largest"] for x in tensors)


def _row(case: Case, row: Mapping[str, Any]) -> list[str]:
    tensors, alone = row["tensors"], row["alone"]
    least = min(((x["equal"], x["words"]) for x in tensors), key=_ratio)
    cells = [*case, row["changed"], share(*_equal(tensors)), share(*least), str(_largest(tensors))]
    cells += [share(*_equal(alone)), str(_largest(alone)), share(*_counts(row))]
    return [*cells, *(percent(row[name] / row["images"]) for name in ("errors", "file_errors"))]


@click.command()
@click.option("--data-dir", envvar="ESPALIER_DATA", help="Folder of the data sets.")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder of the trained networks.")
@click.option("--images", type=click.IntRange(1), default=2000, show_default=True, help="Test images to run.")
@click.option("--epochs", type=click.IntRange(1), default=8, show_default=True, help="Of a training that is needed.")
@click.option("--network", "names", multiple=True, type=click.Choice([*NETWORKS, *FILES]), help="Which; else all.")
@click.option("--out", type=click.Path(path_type=Path), default=STUDY, help="Where the study lies.")
def main(data_dir: str | None, work: Path, images: int, epochs: int, names: tuple[str, ...], out: Path) -> None:
    """Compare imported int8 files with onnxruntime."""
    make(data_dir, work, out, images, epochs, names or (*NETWORKS, *FILES))


if __name__ == "__main__":
    main()

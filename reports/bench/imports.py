"""What `espalier import` takes for the largest networks that people bring: seconds and memory, in a process of its own.

The files are drawn: AlexNet and VGG-11 as torchvision exports them, for images of 224x224, with random weights.
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from accel.interchange.onnx.reading.file import onnx_package
from accel.interchange.onnx.reading.model import ImportedNetwork, import_model
from reports.bench.start import resident
from reports.shared.schema import Kind

KIND = Kind("espalier-bench-import", 1, "the results of espalier bench import")
Row = tuple[Any, ...]
IMPORT = "import"  # the word after `espalier bench` that asks for this
POOL = ("MaxPool", [3, 3], [2, 2])
HALF = ("MaxPool", [2, 2], [2, 2])
CLASSIFIER = (("Flatten",), ("Gemm", 4096), ("Relu",), ("Gemm", 4096), ("Relu",), ("Gemm", 1000))


def _conv(outputs: int, kernel: int = 3, stride: int = 1, padding: int = 1) -> tuple[Row, ...]:
    return ("Conv", outputs, kernel, stride, padding), ("Relu",)


IMPORTED: dict[str, tuple[Row, ...]] = {  # https://docs.pytorch.org/vision/stable/models.html
    "alexnet": (
        *_conv(64, 11, 4, 2), POOL, *_conv(192, 5, 1, 2), POOL, *_conv(384), *_conv(256), *_conv(256), POOL, *CLASSIFIER
    ),
    "vgg11": (
        *_conv(64), HALF, *_conv(128), HALF, *_conv(256), *_conv(256), HALF, *_conv(512), *_conv(512), HALF,
        *_conv(512), *_conv(512), HALF, *CLASSIFIER,
    ),
}  # fmt: skip
IMAGE = (3, 224, 224)


@dataclass(frozen=True, kw_only=True)
class Import:
    """What one import took; `megabytes` is the most that the process ever had, None where nobody says."""

    network: str
    weights: int
    file_megabytes: float
    seconds: float
    megabytes: float | None


@dataclass(frozen=True)
class Imports:
    """What was measured: the machine in words, and a row for each network."""

    machine: dict[str, str]
    imports: list[Import]

    def to_json(self) -> str:
        """Return it as a file of `KIND`."""
        return KIND.written({"machine": self.machine}, imports=map(asdict, self.imports))


def measured(names: Sequence[str]) -> Iterator[Import]:
    """Yield what the import of each network takes, from its file to a file of ours."""
    for name in names:
        with tempfile.TemporaryDirectory(prefix="espalier-") as folder:
            file = Path(folder, f"{name}.onnx")
            subprocess.run([sys.executable, "-m", __name__, name, str(file)], check=True)  # its memory goes with it
            done = subprocess.run(
                [sys.executable, "-m", __name__, str(file)], check=True, capture_output=True, text=True
            )
            weights, seconds, megabytes = json.loads(done.stdout)
            size = file.stat().st_size / 1e6
            yield Import(network=name, weights=weights, file_megabytes=size, seconds=seconds, megabytes=megabytes)


def imports_table(found: Sequence[Import]) -> Table:
    """Return the measurements as a table."""
    table = Table(title="espalier import, from an ONNX file to one of ours")
    table.add_column("network", no_wrap=True)
    for name in ("weights", "MB of the file", "seconds", "most MB in memory"):
        table.add_column(name, justify="right")
    for x in found:
        most = "" if x.megabytes is None else f"{x.megabytes:,.0f}"
        table.add_row(x.network, f"{x.weights:,}", f"{x.file_megabytes:,.0f}", f"{x.seconds:.1f}", most)
    return table


def draw(name: str, file: Path) -> None:
    """Write a network's file."""
    onnx, rng = onnx_package(), np.random.default_rng(0)
    nodes: list[Any] = []
    constants: list[Any] = []
    last, shape = "image", tuple[int, ...](IMAGE)
    for index, (op, *row) in enumerate(IMPORTED[name]):
        inputs, settings = [last], dict[str, Any]()
        if op in ("Conv", "Gemm"):
            kernels = (row[0], shape[0], row[1], row[1]) if op == "Conv" else (row[0], math.prod(shape))
            weight = rng.standard_normal(kernels, np.float32) * np.float32(math.sqrt(2 / math.prod(kernels[1:])))
            for part, array in (("weight", weight), ("bias", np.zeros(row[0], np.float32))):
                inputs.append(f"{index}.{part}")
                constants.append(onnx.numpy_helper.from_array(array, inputs[-1]))
        if op in ("Conv", "MaxPool"):
            kernel, stride, padding = row[1:] if op == "Conv" else (row[0][0], row[1][0], 0)
            maps = row[0] if op == "Conv" else shape[0]
            shape = maps, *((size + 2 * padding - kernel) // stride + 1 for size in shape[1:])
            settings = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [padding] * 4}
        elif op in ("Flatten", "Gemm"):
            shape, settings = (row[0] if row else math.prod(shape),), {"transB": 1} if row else {}
        last = f"{op}{index}"
        nodes.append(onnx.helper.make_node(op, inputs, [last], last, **settings))
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", *IMAGE])
    scores = onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, ["batch", *shape])
    graph = onnx.helper.make_graph(nodes, name, [image], [scores], constants)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), file)


def main(file: Path) -> None:
    """Print the weights of a file's network, the processor's seconds to import and save it, and the most MB."""
    begin = time.process_time()
    found = import_model(file)
    assert isinstance(found, ImportedNetwork)  # of floats
    found.result.save(file.with_suffix(".espalier"))
    seconds = time.process_time() - begin
    weights = sum(layer.weight.size for layer in found.result.network.weighted)
    print(json.dumps([weights, seconds, resident("VmHWM")]))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        draw(sys.argv[1], Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))

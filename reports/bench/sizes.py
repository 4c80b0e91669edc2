"""What `espalier size` takes for networks as large as people bring: seconds and memory, in a process of its own.

The networks are drawn as torchvision has them, batch norms folded, for images of 224x224: once as a file of ours with
random weights, once as an ONNX file whose weights have shapes alone.
"""

import contextlib
import io
import json
import math
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from accel.interchange.onnx.reading.file import onnx_package
from accel.interchange.onnx.reading.model import import_model
from accel.pruned import PrunedNetwork
from reports.bench.start import resident
from reports.shared.schema import Kind

KIND = Kind("espalier-bench-size", 1, "the results of espalier bench size")
SIZE = "size"  # the word after `espalier bench` that asks for this
IMAGE, CLASSES = "image", 1000


@dataclass(frozen=True, kw_only=True)
class Size:
    """What sizing one network took; `megabytes` is the most that the process ever had, None where nobody says."""

    network: str
    weights: int
    values: bool
    seconds: float
    megabytes: float | None


@dataclass(frozen=True)
class Sizes:
    """What was measured: the machine in words, and a row for each network with values and without."""

    machine: dict[str, str]
    sizes: list[Size]

    def to_json(self) -> str:
        """Return it as a file of `KIND`."""
        return KIND.written({"machine": self.machine}, sizes=map(asdict, self.sizes))


class Drawing:
    """A graph as it grows; each method adds an operator and returns the name of what it gives."""

    def __init__(self, side: int) -> None:
        self.onnx, self.rng, self.side = onnx_package(), np.random.default_rng(0), side
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, op: str, *inputs: str, **settings: Any) -> str:
        """Add any operator."""
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [name], name, **settings))
        return name

    def constant(self, array: Any) -> str:
        """Add a constant."""
        name = f"constant{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def weights(self, *shape: int) -> tuple[str, str]:
        """Add weights that keep the size of signals, and biases."""
        drawn = self.rng.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / math.prod(shape[1:])))
        return self.constant(drawn), self.constant(np.zeros(shape[0]))

    def conv(self, x: str, maps: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> str:
        """Add a convolution that keeps the size of maps, or divides it by the stride."""
        settings = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4, "group": groups}
        return self.node("Conv", x, *self.weights(outputs, maps // groups, kernel, kernel), **settings)

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        """Add a fully connected layer."""
        return self.node("Gemm", x, *self.weights(outputs, inputs), transB=1)

    def pool(self, x: str, kernel: int, padding: int = 0) -> str:
        """Add a max pool of stride 2."""
        return self.node("MaxPool", x, kernel_shape=[kernel] * 2, strides=[2] * 2, pads=[padding] * 4)

    def scores(self, x: str, maps: int) -> str:
        """Add the mean of each map and the scores."""
        return self.linear(self.node("Flatten", self.node("GlobalAveragePool", x)), maps, CLASSES)

    def model(self, name: str, last: str) -> Any:
        """Return the model that ends with `last`."""
        info, kind = self.onnx.helper.make_tensor_value_info, self.onnx.TensorProto.FLOAT
        ends = [info(IMAGE, kind, [1, 3, self.side, self.side])], [info(last, kind, [1, CLASSES])]
        graph = self.onnx.helper.make_graph(self.nodes, name, *ends, self.constants)
        opset = self.onnx.helper.make_opsetid("", 17)
        return self.onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)


def vgg16(g: Drawing) -> str:
    """Draw VGG-16 (Simonyan and Zisserman, arXiv 1409.1556, configuration D)."""
    x, maps, side = IMAGE, 3, g.side
    for outputs, layers in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(layers):
            x, maps = g.node("Relu", g.conv(x, maps, outputs, 3)), outputs
        x, side = g.pool(x, 2), side // 2
    x, features = g.node("Flatten", x), maps * side**2
    for _ in range(2):
        x, features = g.node("Relu", g.linear(x, features, 4096)), 4096
    return g.linear(x, features, CLASSES)


def resnet50(g: Drawing) -> str:
    """Draw ResNet-50 (He et al., arXiv 1512.03385), the stride in the 3x3 convolutions as torchvision has it."""
    x, maps = g.pool(g.node("Relu", g.conv(IMAGE, 3, 64, 7, 2)), 3, 1), 64
    for stage, (blocks, hidden) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for block in range(blocks):
            stride, outputs = 2 if stage and not block else 1, 4 * hidden
            y = g.node("Relu", g.conv(x, maps, hidden, 1))
            y = g.node("Relu", g.conv(y, hidden, hidden, 3, stride))
            beside = x if block else g.conv(x, maps, outputs, 1, stride)
            x, maps = g.node("Relu", g.node("Add", g.conv(y, hidden, outputs, 1), beside)), outputs
    return g.scores(x, maps)


def mobilenetv2(g: Drawing) -> str:
    """Draw MobileNetV2 (Sandler et al., arXiv 1801.04381, table 2)."""

    def bounded(x: str) -> str:
        return g.node("Clip", x, bounds[0], bounds[1])

    bounds = g.constant(0), g.constant(6)
    x, maps = bounded(g.conv(IMAGE, 3, 32, 3, 2)), 32
    rows = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    for factor, outputs, blocks, first in rows:
        for block in range(blocks):
            stride, hidden = 1 if block else first, factor * maps
            y = bounded(g.conv(x, maps, hidden, 1)) if factor > 1 else x
            y = g.conv(bounded(g.conv(y, hidden, hidden, 3, stride, hidden)), hidden, outputs, 1)
            x, maps = g.node("Add", x, y) if block else y, outputs
    return g.scores(bounded(g.conv(x, maps, 1280, 1)), 1280)


SIZED: dict[str, Callable[[Drawing], str]] = {"vgg16": vgg16, "resnet50": resnet50, "mobilenetv2": mobilenetv2}


def measured(names: Sequence[str]) -> Iterator[Size]:
    """Yield what sizing each network takes, with values and without."""
    for name in names:
        with tempfile.TemporaryDirectory(prefix="espalier-") as folder:
            files = {True: Path(folder, f"{name}.espalier"), False: Path(folder, f"{name}.onnx")}
            drawn = _process("draw", name, *map(str, files.values()))  # its memory goes with it
            for values, file in files.items():
                seconds, megabytes = _process("size", str(file))
                yield Size(network=name, weights=drawn, values=values, seconds=seconds, megabytes=megabytes)


def sizes_table(found: Sequence[Size]) -> Table:
    """Return the measurements as a table."""
    table = Table(title="espalier size, 8 bits, images of 224x224")
    for name in ("network", "weights have"):
        table.add_column(name, no_wrap=True)
    for name in ("weights", "seconds", "most MB in memory"):
        table.add_column(name, justify="right")
    for x in found:
        most = "" if x.megabytes is None else f"{x.megabytes:,.0f}"
        table.add_row(x.network, "values" if x.values else "shapes", f"{x.weights:,}", f"{x.seconds:.1f}", most)
    return table


def draw(name: str, whole: Path, bare: Path, side: int = 224) -> int:
    """Write a network's file with values and, as ONNX, the one without; return how many weights it has."""
    graph = Drawing(side)
    model = graph.model(name, SIZED[name](graph))
    graph.onnx.save(model, bare)
    found = import_model(bare).result
    assert isinstance(found, PrunedNetwork)
    found.save(whole)
    for tensor in model.graph.initializer:
        if tensor.dims:
            tensor.ClearField("raw_data")
    graph.onnx.save(model, bare)
    return sum(layer.weight.size for layer in found.network.weighted)


def size(file: Path) -> tuple[float, float | None]:
    """Return the processor's seconds of this process after it has sized a network, and the most MB that it had."""
    sys.argv = ["espalier", SIZE, str(file)]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            runpy.run_module("espalier", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
    return time.process_time(), resident("VmHWM")


def _process(*words: str) -> Any:
    """Return what `main` printed in a process of its own."""
    done = subprocess.run([sys.executable, "-m", __name__, *words], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main(task: str, *words: str) -> None:
    """Draw or size, and print what comes back."""
    print(json.dumps(draw(words[0], Path(words[1]), Path(words[2])) if task == "draw" else size(Path(words[0]))))


if __name__ == "__main__":
    main(*sys.argv[1:])

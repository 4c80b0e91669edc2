"""Small files that would become large: networks, Programs and ONNX graphs of shapes that no network has."""

import json
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from accel.interchange.onnx.reading.model import import_model
from support.archives import header_and_payload, rebuild
from support.fuzz_cases import Rng
from support.fuzz_files import Run, check_network, check_program, programs
from support.onnx_graphs import Drawing

Json = dict[str, Any]
MOST_BYTES = 1 << 27  # that an array really has; what it claims is refused before that matters
PATTERNS = ("kernel", "irregular", "ikss", "1:2", "2:1024", "block-1024", "dense", "feature-map")
COUNTS = (1, 20, 130, 300, 2000, 5000, 70_000)
SIDES = (1, 100, 10**4, 10**5, 10**9)


class Payload:
    """Arrays of a file, and the bytes that they are in."""

    def __init__(self, data: bytes = b"", entries: list[Json] | None = None) -> None:
        self.data, self.entries = bytearray(data), entries or []

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Json:
        """Add an array of equal bytes, as small as zlib makes it."""
        count = min(int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize, MOST_BYTES)
        return self._entry(_packed(b"\1" if dtype == "|b1" else b"\0", count), shape, dtype, zlib=True)

    def words(self, shape: tuple[int, ...], bits: int, stored: int) -> Json:
        """Add an array of words of so many bits, whose file has `stored` bytes for them."""
        return self._entry(bytes(stored), shape, "<i4", bits=bits)

    def _entry(self, data: bytes, shape: tuple[int, ...], dtype: str, **more: Any) -> Json:
        entry = {"shape": list(shape), "dtype": dtype, "offset": len(self.data), "bytes": len(data), **more}
        self.data += data
        self.entries.append(entry)
        return {"array": len(self.entries) - 1}


@cache
def _packed(byte: bytes, count: int) -> bytes:
    """Return `count` equal bytes as small as zlib makes them."""
    packer, piece = zlib.compressobj(9), byte * (1 << 20)
    data = b"".join(packer.compress(piece) for _ in range(count >> 20))
    return data + packer.compress(piece[: count & 0xFFFFF]) + packer.flush()


def record(cls: str, **content: Any) -> Json:
    """Return the record of a dataclass."""
    return {"class": cls, "fields": content}


def _window(kernel: int, stride: int = 1, padding: int = 0) -> Json:
    return record("Window", kernel=[kernel] * 2, stride=[stride] * 2, padding=[padding] * 4)


def _power(rng: Rng, low: int, high: int) -> int:
    return 1 << int(rng.integers(low, high))


def _network(rng: Rng) -> tuple[Json, Payload, list[Json], list[int]]:
    """Return a network's record, its arrays, its layers, and the shape of its images."""
    layers: list[Json] = []
    shape = [1, 4, 4]
    network = record("Network", name="n", input_shape=shape, layers=layers)
    whole = record("PrunedNetwork", network=network, masks={"map": {}}, pattern="dense", data="")
    for name in ("dense_weights", "dense_macs"):
        whole["fields"][name] = {"map": {}}
    return whole, Payload(), layers, shape


def _linear(payload: Payload, source: str, outputs: int, inputs: int, name: str = "scores") -> Json:
    weight = payload.zeros((outputs, inputs), "<f4")
    return record("Linear", name=name, inputs=[source], weight=weight, bias=payload.zeros((outputs,), "<f4"))


def _chain(layers: list[Json], kind: str, count: int, arity: int, **content: Any) -> str:
    """Add so many layers that each read the one before, `arity` times."""
    source = "input"
    for number in range(count):
        layers.append(record(kind, name=f"l{number}", inputs=[source] * arity, **content))
        source = f"l{number}"
    return source


def _giant_network(rng: Rng) -> Run:
    """Weights or masks of a giant shape, in a few kilobytes."""
    whole, payload, layers, shape = _network(rng)
    outputs, inputs = _power(rng, 0, 20), _power(rng, 0, 30)
    shape[:] = [inputs, 1, 1]
    layers.append(record("Flatten", name="flat", inputs=["input"]))
    layers.append(_linear(payload, "flat", outputs, inputs))
    if rng.random() < 0.6:
        pattern = PATTERNS[rng.integers(len(PATTERNS))]
        mask = payload.zeros((outputs, inputs, _power(rng, 0, 3)), "|b1")
        whole["fields"]["masks"]["map"]["scores"] = record("LayerMask", pattern=pattern, kept=mask)
    return _file("network", whole, payload, check_network)


def _many_layers(rng: Rng) -> Run:
    """Thousands of layers, or twenty that double."""
    whole, payload, layers, shape = _network(rng)
    count, side = COUNTS[rng.integers(len(COUNTS))], SIDES[rng.integers(len(SIDES))]
    shape[1:] = [side, side] if rng.random() < 0.3 else shape[1:]
    kinds: list[tuple[str, int, Json]] = [("ReLU", 1, {}), ("Add", 2, {}), ("Concat", 2, {}), ("Flatten", 1, {})]
    kinds += [("MaxPool", 1, {"window": _window(1)}), ("AvgPool", 1, {"window": _window(2, 1, 1)})]
    kind, arity, content = kinds[rng.integers(len(kinds))]
    source = _chain(layers, kind, count, arity, **content)
    layers.append(record("Flatten", name="flat", inputs=[source]))
    layers.append(_linear(payload, "flat", 1, shape[0] * 16))
    return _file("network", whole, payload, check_network)


def _giant_windows(rng: Rng) -> Run:
    """Kernels, strides and paddings of any size."""
    whole, payload, layers, shape = _network(rng)
    kernel, stride, padding, side = (SIDES[i] for i in rng.integers(0, len(SIDES), 4))
    shape[:] = [int(rng.integers(1, 4)), side, side]
    window = _window(kernel, stride, padding)
    layers.append(record("MaxPool" if rng.random() < 0.5 else "AvgPool", name="pool", inputs=["input"], window=window))
    layers.append(record("GlobalAvgPool", name="all", inputs=["pool"]))
    layers.append(record("Flatten", name="flat", inputs=["all"]))
    layers.append(_linear(payload, "flat", 2, shape[0]))
    return _file("network", whole, payload, check_network)


def _program(rng: Rng) -> Run:
    """A real Program, with layers in front of it, another image, or a layer that claims more than is stored."""
    files = programs()
    header, data = header_and_payload(files[rng.integers(len(files))])
    payload, content = Payload(data, header["arrays"]), header["record"]["fields"]
    layers = content["layers"]
    macs = [layer["fields"] for layer in layers if layer["class"] == "MacLayer"]
    what = rng.integers(5)
    if what == 0:
        extra: list[Json] = []
        kind, arity = (("ReluLayer", 1), ("ConcatLayer", 2), ("FlattenLayer", 1))[rng.integers(3)]
        source = _chain(extra, kind, COUNTS[rng.integers(len(COUNTS))], arity)
        layers[0]["fields"]["inputs"] = [source]
        content["layers"] = extra + layers
    elif what == 1:
        content["input_shape"][1:] = [SIDES[rng.integers(len(SIDES))]] * 2
        for layer in layers:
            if (window := layer["fields"].get("window")) and rng.random() < 0.7:
                window["fields"]["padding"] = [SIDES[rng.integers(len(SIDES))]] * 4
    elif what == 2:
        mac = macs[rng.integers(len(macs))]
        mac["shape"] = [_power(rng, 0, 20), _power(rng, 0, 30), _power(rng, 0, 4)]
        if rng.random() < 0.5:
            mac |= {"pattern": "kernel", "encoding": "kernel lists"}
    elif what == 3:
        mac, count = macs[rng.integers(len(macs))], _power(rng, 20, 34)
        bits = int(rng.integers(0, 9))
        mac["weights"] = payload.words((count,), bits, min(1 << 22, count * bits // 8))
        mac["weight_bits"] = bits
    else:
        _wide(content, macs, rng)
    return _file("program", header["record"], payload, check_program)


def _wide(content: Json, macs: list[Json], rng: Rng) -> None:
    """Let many layers be one of which the file holds the arrays once."""
    layers = content["layers"]
    at = next(i for i, layer in enumerate(layers) if layer["class"] == "MacLayer")
    for number in range(COUNTS[rng.integers(len(COUNTS) - 1)]):  # more would take the fuzzer itself a gigabyte
        twin = json.loads(json.dumps(layers[at]))
        twin["fields"]["name"] = f"twin{number}"
        layers.append(twin)


def _file(kind: str, thing: Json, payload: Payload, check: Callable[[Path], Any]) -> Run:
    data = rebuild({"kind": kind, "record": thing, "arrays": payload.entries}, bytes(payload.data))

    def run(folder: Path) -> None:
        (folder / "a.espalier").write_bytes(data)
        check(folder / "a.espalier")

    return run


def _graph(rng: Rng) -> Run:
    """An ONNX graph of thousands of nodes, or of giant images, kernels and pads."""
    side, kernel = SIDES[rng.integers(len(SIDES))], SIDES[rng.integers(4)]
    g = Drawing("batch", 1, side, side) if rng.random() < 0.4 else Drawing("batch", 1, 8, 8)
    ways = ("Relu", "Add", "Concat", "MaxPool", "GlobalAveragePool", "Identity", "Transpose", "Flatten")
    way = ways[rng.integers(len(ways))]
    for _ in range(COUNTS[rng.integers(len(COUNTS) - 1)]):
        if way in ("Add", "Concat"):
            g.node(way, "", g.last, **({"axis": 1} if way == "Concat" else {}))
        elif way == "MaxPool":
            g.node(way, kernel_shape=[kernel, kernel], pads=[kernel - 1] * 4)
        elif way == "Transpose":
            g.node(way, perm=[0, 2, 3, 1])
        else:
            g.node(way)
    g.node("Flatten")
    g.gemm(2, 64)
    data = g.model().SerializeToString()

    def run(folder: Path) -> None:
        (folder / "a.onnx").write_bytes(data)
        import_model(folder / "a.onnx")

    return run


FORMATS_OF: dict[str, Callable[[Rng], Run]] = {
    "bombs: giant networks": _giant_network,
    "bombs: many layers": _many_layers,
    "bombs: giant windows": _giant_windows,
    "bombs: Programs": _program,
    "bombs: ONNX": _graph,
}

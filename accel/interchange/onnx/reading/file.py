"""Reading an ONNX file: nodes, attributes and constants as plain Python and numpy, with nothing believed unchecked.

A file may come from anywhere. Sizes are compared with the bytes that are there before an array is made, data outside
the file must lie in the model's folder, and what a graph says of its own shapes is not used: they are computed.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import archive
from accel.errors import EspalierError
from accel.files import opened, read_whole
from accel.limits import MOST_DIMENSIONS, MOST_NODES, MOST_WEIGHTS, check_limit, check_unpacked

NIBBLES = {21: (0, 15), 22: (-8, 7)}  # UINT4 and INT4: https://onnx.ai/onnx/technical/int4.html
NO_NAMES = ("", "main_graph", "torch_jit", "torch-jit-export", "tf2onnx")  # exporters' own, of every graph
QONNX_DOMAINS = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
RUNTIME = "com.microsoft"  # the domain of onnxruntime's own
RUNTIME_OPERATORS = (
    "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearGlobalAveragePool", "QLinearSoftmax",
)  # fmt: skip
PARAMETERS = {  # the inputs of operators that are weights, biases and statistics
    *((op, index) for op in ("Conv", "ConvTranspose", "Gemm") for index in (1, 2)),
    *(("BatchNormalization", index) for index in (1, 2, 3, 4)),
    ("MatMul", 1), ("PRelu", 1),
}  # fmt: skip
WITHOUT_VALUES = "only espalier size, inspect and explore --hardware-only do without"
DOMAINS = ("", "ai.onnx", *QONNX_DOMAINS)

Constant = NDArray[Any]


class NodeError(EspalierError):
    """An error that names its node already."""


@dataclass(frozen=True)
class Node:
    """One operation of a graph; `str` names it in errors."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{' '.join(self.op.split())} {self.name or (self.outputs[0] if self.outputs else '')!r}"

    def refused(self, reason: str) -> EspalierError:
        """Return the error that names this node."""
        return NodeError(f"{self}: {reason}")

    def get(self, attribute: str, default: Any = None) -> Any:
        """Return an attribute, of the type of `default` if there is one."""
        value = self.attributes.get(attribute, default)
        if default is not None and type(value) is not type(default):
            raise self.refused(f"attribute {attribute} must be of type {type(default).__name__}, got {value!r}")
        return value


@dataclass(frozen=True)
class Graph:
    """A model: nodes in the file's order, the constants they read, inputs (name, shape) and outputs.

    A size of a shape is None where the file leaves it open. `ranges` are those of constants whose words are narrower
    than the type of their array. `file_bytes` are those of the file and of the data beside it. Of inputs that are
    integers `integers` has the lowest and the highest. Constants whose names are among `shapes_alone` have no values:
    zeros stand for them.
    """

    name: str
    opset: int
    nodes: tuple[Node, ...]
    constants: dict[str, Constant]
    inputs: tuple[tuple[str, tuple[int | None, ...]], ...]
    outputs: tuple[str, ...]
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    file_bytes: int = 0
    integers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    shapes_alone: frozenset[str] = frozenset()


class Constants:
    """Tensors of a file as arrays: data outside of it are read once, and all of it is counted.

    Parameters
    ----------
    folder : Path
        That of the model, in which data outside of it must lie.
    file_bytes : int
        Of the model.
    valued : bool
        Whether every tensor must have data; else the shape of one of floats is enough.
    """

    def __init__(self, folder: Path, file_bytes: int, valued: bool = True) -> None:
        self.folder, self.file_bytes, self.valued = folder, file_bytes, valued
        self.unpacked = 0
        self.beside: dict[Path, int] = {}  # files with data, and the bytes of them that are read
        self.ranges: dict[tuple[Path, int, int], bytes] = {}
        self.shapes_alone: set[str] = set()

    def array(self, tensor: Any) -> Constant:
        """Return a protobuf tensor as an array, read-only.

        Raises
        ------
        EspalierError
            Its type is none that networks have, its data do not fit its shape, lie outside the folder, or are too many.
        """
        where, shape = f"tensor {tensor.name!r}", tuple(tensor.dims)
        count = math.prod(shape)
        if min(shape, default=0) < 0 or count > MOST_WEIGHTS or len(shape) > MOST_DIMENSIONS:
            few = f"{MOST_WEIGHTS} elements in {MOST_DIMENSIONS} dimensions"
            raise EspalierError(f"{where}: has the shape {shape[:9]}, expected at most {few}")
        dtype, nibbles, fields = _storage(tensor.data_type, where)
        if dtype.kind == "f" and count and self._lacks_data(tensor, fields, where):
            self.shapes_alone.add(tensor.name)
            return without_values(shape, dtype)
        self.unpacked += count * dtype.itemsize
        needed = (count + 1) // 2 if nibbles else count * dtype.itemsize
        if tensor.data_location == tensor.EXTERNAL:
            data = self._external(tensor, needed, where)
        elif tensor.HasField("raw_data"):
            data = tensor.raw_data
        else:
            return _from_fields(tensor, fields, count, dtype, where).reshape(shape)
        if len(data) != needed:
            raise EspalierError(f"{where}: {len(data)} bytes are no {shape} of {dtype}, expected {needed}")
        check_unpacked(self.unpacked, self.file_bytes, where)
        if nibbles:
            return _unpacked(np.frombuffer(data, np.uint8), count, signed=nibbles < 0).reshape(shape)
        return np.frombuffer(data, dtype).reshape(shape)

    def _lacks_data(self, tensor: Any, fields: str, where: str) -> bool:
        """Return whether a tensor's data are neither in the file nor beside it."""
        if tensor.data_location == tensor.EXTERNAL:
            return not self.valued and not self._beside(tensor, where).exists()
        lacks = not tensor.raw_data and not (fields and len(getattr(tensor, fields)))
        if lacks and self.valued:
            raise EspalierError(f"{where}: has a shape and no values; {WITHOUT_VALUES}")
        return lacks

    def _beside(self, tensor: Any, where: str) -> Path:
        """Return the path of a tensor's data, in the model's folder, where there may be no file."""
        location = _external_data(tensor).get("location", "")
        root = Path(os.path.realpath(self.folder))
        path = None if not location or "\0" in location else Path(os.path.realpath(root / location))
        if path is None or os.path.isabs(location) or not path.is_relative_to(root):
            raise EspalierError(f"{where}: its data lie in {location!r}, expected a file in the model's folder")
        return path

    def _external(self, tensor: Any, needed: int, where: str) -> bytes:
        entries, path = _external_data(tensor), self._beside(tensor, where)
        location = entries["location"]
        if not path.is_file():
            raise EspalierError(f"{where}: its data lie in {location!r}, which is no file")
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", str(needed)))
        except ValueError as error:
            raise EspalierError(f"{where}: offset and length of its data must be numbers") from error
        return self._range(path, offset, length, needed, f"{where}: {location!r}")

    def _range(self, path: Path, offset: int, length: int, needed: int, where: str) -> bytes:
        """Return a part of a file beside the model; parts that are not the same may not overlap."""
        if (path, offset, length) in self.ranges:
            if length != needed:
                raise EspalierError(f"{where} does not hold {needed} bytes from {offset} on")
            return self.ranges[path, offset, length]
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            if offset < 0 or length != needed or offset + length > size:
                raise EspalierError(f"{where} does not hold {needed} bytes from {offset} on")
            if path not in self.beside:
                self.beside[path] = 0
                self.file_bytes += size
            self.beside[path] += length
            if self.beside[path] > size:
                raise EspalierError(f"{where} has {size} bytes, and tensors that overlap in it")
            file.seek(offset)
            self.ranges[path, offset, length] = file.read(length)
        return self.ranges[path, offset, length]


def _external_data(tensor: Any) -> dict[str, str]:
    return {entry.key: text_of(entry.value) for entry in tensor.external_data}


def without_values(shape: Sequence[int], dtype: Any = np.float32) -> Constant:
    """Return what stands for an array of which only the shape is known: zeros, which take no memory."""
    zero = np.zeros((), dtype)
    zero.setflags(write=False)
    return np.broadcast_to(zero, tuple(shape))


def read_graph(path: str | os.PathLike[str], valued: bool = True) -> Graph:
    """Return the graph of the ONNX file at `path`; unless it must be `valued`, the shapes of weights are enough.

    Raises
    ------
    EspalierError
        The package onnx is not there, or the file is no ONNX model, damaged, too old, or reaches outside its folder.
    OSError
        The file cannot be read.
    """
    onnx, path = onnx_package(), Path(path)
    data = read_whole(path)
    if data.startswith(archive.MAGIC):
        raise EspalierError(f"{path}: is an Espalier file already, no ONNX file")
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's own class, of a package that is no dependency of ours
        raise EspalierError(f"{path}: is not an ONNX file, or was cut or changed") from error
    if not model.HasField("graph") or not model.graph.node:
        raise EspalierError(f"{path}: is not an ONNX model: it has no graph with nodes")
    try:
        return _graph(model, path, len(data), valued)
    except EspalierError as error:
        raise EspalierError(f"{path}: {error}") from error


def onnx_package() -> Any:
    """Return the module `onnx`, or say how to get it."""
    try:
        import onnx
    except ImportError as error:
        raise EspalierError(
            "ONNX files need the package onnx: pip install onnx (or install espalier-hw[onnx])"
        ) from error
    return onnx


def _graph(model: Any, path: Path, file_bytes: int, valued: bool) -> Graph:
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if len(model.functions):
        raise EspalierError(f"defines functions of its own ({model.functions[0].name!r}); inline them first")
    graph = model.graph
    if len(graph.sparse_initializer):
        raise EspalierError("has sparse initializers; store them as ordinary tensors")
    check_limit("the graph", "nodes", len(graph.node), MOST_NODES)
    check_limit("the graph", "constants", len(graph.initializer), MOST_NODES)
    tensors = Constants(path.parent, file_bytes, valued)
    constants = {text_of(tensor.name): tensors.array(tensor) for tensor in graph.initializer}
    nodes = tuple(_node(node, tensors) for node in graph.node)
    inputs = tuple((text_of(value.name), _shape(value)) for value in graph.input if value.name not in constants)
    given = {name: shape for name, shape in inputs if _is_parameter(name, shape, nodes)}
    if given and len(given) + 1 == len(inputs):
        if valued:
            raise EspalierError(f"input {min(given)!r} is weights, whose values are not in the file; {WITHOUT_VALUES}")
        constants |= {name: without_values([size or 0 for size in shape]) for name, shape in given.items()}
        inputs = tuple(x for x in inputs if x[0] not in given)
        tensors.shapes_alone |= given.keys()
    return Graph(
        path.stem if text_of(graph.name) in NO_NAMES else graph.name,
        opset,
        nodes,
        constants,
        inputs,
        tuple(text_of(value.name) for value in graph.output),
        {tensor.name: NIBBLES[tensor.data_type] for tensor in graph.initializer if tensor.data_type in NIBBLES},
        tensors.file_bytes,
        {text_of(value.name): found for value in graph.input if (found := _limits(value)) is not None},
        frozenset(tensors.shapes_alone),
    )


def _is_parameter(name: str, shape: Sequence[int | None], nodes: Sequence[Node]) -> bool:
    """Return whether an input of a graph is read as weights alone: files made small have these as inputs."""
    places = [(node.op, index) for node in nodes for index, read in enumerate(node.inputs) if read == name]
    fixed = all(size is not None and 0 < size <= MOST_WEIGHTS for size in shape) and len(shape) <= MOST_DIMENSIONS
    return fixed and math.prod(x or 0 for x in shape) <= MOST_WEIGHTS and bool(places) and set(places) <= PARAMETERS


def text_of(name: str | bytes) -> str:
    """Return a name of the file; protobuf hands out what is no text as bytes."""
    if isinstance(name, bytes):
        raise EspalierError(f"the name {name[:40]!r} is no text")
    return name


def _shape(value: Any) -> tuple[int | None, ...]:
    if not value.type.HasField("tensor_type"):
        raise EspalierError(f"input {value.name!r} is no tensor")
    dimensions = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in dimensions)


def _limits(value: Any) -> tuple[int, int] | None:
    """Return the lowest and the highest of an input's integers; None where it has none."""
    kind = value.type.tensor_type.elem_type
    if kind in NIBBLES:
        return NIBBLES[kind]
    kinds = onnx_package().TensorProto
    name = {kinds.INT8: "i1", kinds.UINT8: "u1", kinds.INT16: "i2", kinds.UINT16: "u2"}.get(kind)
    return None if name is None else (int(np.iinfo(name).min), int(np.iinfo(name).max))


def _node(node: Any, tensors: Constants) -> Node:
    attributes = {text_of(attribute.name): _attribute(attribute, tensors) for attribute in node.attribute}
    op, domain, name = map(text_of, (node.op_type, node.domain, node.name))
    found = Node(op, domain, name, tuple(map(text_of, node.input)), tuple(map(text_of, node.output)), attributes)
    if node.domain not in DOMAINS and not (node.domain == RUNTIME and op in RUNTIME_OPERATORS):
        hint = "; quantise as QDQ (quant_format=QuantFormat.QDQ)" if node.domain == RUNTIME else ""
        raise found.refused(f"is of the domain {node.domain!r}, expected one of ONNX's or QONNX's own{hint}")
    if not any(node.output):
        raise found.refused("has no output")
    return found


def _attribute(attribute: Any, tensors: Constants) -> Any:
    """Return an attribute's value; None for graphs and others that no operator of ours has."""
    kinds = onnx_package().AttributeProto
    match attribute.type:
        case kinds.INT:
            return attribute.i
        case kinds.FLOAT:
            return attribute.f
        case kinds.STRING:
            return attribute.s.decode(errors="replace")
        case kinds.TENSOR:
            return tensors.array(attribute.t)
        case kinds.INTS:
            return tuple(attribute.ints)
        case kinds.FLOATS:
            return tuple(attribute.floats)
        case kinds.STRINGS:
            return tuple(text.decode(errors="replace") for text in attribute.strings)
    return None


def _storage(data_type: int, where: str) -> tuple[np.dtype[Any], int, str]:
    """Return the dtype, whether elements are nibbles (1; -1 with a sign), and the field that holds unpacked ones."""
    kinds = onnx_package().TensorProto
    table = {
        kinds.FLOAT: ("<f4", 0, "float_data"),
        kinds.DOUBLE: ("<f8", 0, "double_data"),
        kinds.FLOAT16: ("<f2", 0, ""),
        kinds.INT8: ("<i1", 0, "int32_data"),
        kinds.UINT8: ("<u1", 0, "int32_data"),
        kinds.INT16: ("<i2", 0, "int32_data"),
        kinds.UINT16: ("<u2", 0, "int32_data"),
        kinds.INT32: ("<i4", 0, "int32_data"),
        kinds.UINT32: ("<u4", 0, "uint64_data"),
        kinds.INT64: ("<i8", 0, "int64_data"),
        kinds.UINT64: ("<u8", 0, "uint64_data"),
        kinds.BOOL: ("|b1", 0, "int32_data"),
        getattr(kinds, "UINT4", -1): ("<u1", 1, ""),
        getattr(kinds, "INT4", -2): ("<i1", -1, ""),
    }
    if data_type not in table:
        raise EspalierError(f"{where}: has elements of type {data_type}, expected floats or integers")
    dtype, nibbles, fields = table[data_type]
    return np.dtype(dtype), nibbles, fields


def _from_fields(tensor: Any, name: str, count: int, dtype: np.dtype[Any], where: str) -> Constant:
    words = getattr(tensor, name) if name else ()
    if len(words) != count:
        raise EspalierError(f"{where}: holds {len(words)} elements, its shape {tuple(tensor.dims)} says {count}")
    array = np.array(words)
    if dtype.kind in "iu" and count:
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise EspalierError(f"{where}: holds a value that {dtype} does not")
    with np.errstate(over="ignore"):
        return array.astype(dtype)


def _unpacked(data: NDArray[np.uint8], count: int, signed: bool) -> Constant:
    """Return the `count` words of 4 bits, the first in the low half of its byte."""
    words = np.stack([data & 15, data >> 4], axis=-1).ravel()[:count].astype(np.int8)
    return np.where(words > 7, words - 16, words).astype(np.int8) if signed else words.astype(np.uint8)

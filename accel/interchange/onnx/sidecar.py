"""The sidecar of an exported ONNX file: what the file does not say, so that importing it gives the Program back.

``model.json`` lies beside ``model.onnx`` and is JSON ::

    {"format": "espalier sidecar", "version": 1,
     "target": "QCDQ",                       # what the model was written as
     "model_sha256": "...",                  # of the model's bytes
     "program": {"name": ..., "layers": [{"kind": "MacLayer", "name": "conv1", "pattern": "kernel",
                 "index": [{"name": "flags", "word_bits": 1, "words": [...]}], "accumulator_bits": 19,
                 "output": {"format": "ap_ufixed<8,8,AP_RND_CONV,AP_SAT>", "step": 0.0625}, ...}]},
     "sha256": "..."}                        # of the rest, written without spaces, keys sorted

A layer has the fields of its class in `accel.program`; weights and biases are not among them: they are read from the
model. Version 1 is the first.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from accel import encoding
from accel.errors import EspalierError, reading
from accel.files import read_whole
from accel.fixedpoint import FixedFormat
from accel.grouped_convolution import spread_weights
from accel.interchange.onnx.reading.file import onnx_package, read_graph
from accel.interchange.onnx.writing.writer import OFFSET, PRODUCER, per_output
from accel.limits import MOST_BESIDE_BYTES, check_unpacked
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import LAYERS, MacLayer
from accel.records import SEAL, digest, unsealed
from accel.signal import Signal
from accel.sparsity import parse_pattern

FORMAT, VERSION = "espalier sidecar", 1
KINDS = {kind.__name__: kind for kind in LAYERS}
IN_MODEL = ("weights", "bias")  # fields of a MacLayer that the model holds
TRANSPOSED = "QLinear"  # the target whose fully connected layers are (inputs, outputs)
Constants = dict[str, NDArray[Any]]
_NUMBERS = re.compile(r"\[\n[-+.e\d,\s]+\]")


def place(model: str | os.PathLike[str]) -> Path:
    """Return where the sidecar of a model lies."""
    return Path(model).with_suffix(".json")


def is_one(path: Path) -> bool:
    """Return whether the file is there and begins as a sidecar does, even if it was cut or changed later."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return json.dumps(FORMAT).encode() in file.read(64)


def dump(program: Program, target: str, model: bytes) -> bytes:
    """Return the sidecar of the `model` that was written of `program` as `target`."""
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "target": target,
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "program": _encode(program),
    }
    text = json.dumps(record | {SEAL: digest(record)}, indent=1)
    return (_NUMBERS.sub(lambda match: " ".join(match[0].split()), text) + "\n").encode()  # a list on one line


def read(model: str | os.PathLike[str]) -> Program | None:
    """Return the Program of which a model was exported, or None if no sidecar of ours lies beside the model.

    Raises
    ------
    EspalierError
        The sidecar was cut or changed, is of another version, or belongs to another model.
    OSError
        A file cannot be read.
    """
    model, path = Path(model), place(model)
    if not path.is_file() or path.resolve() == model.resolve():
        return None
    data = read_whole(model)
    record = _record(path, data)
    if record is None:
        return None
    if record.get("version") != VERSION:
        raise EspalierError(f"{path}: has sidecar version {record.get('version')}, this release reads {VERSION}")
    with reading(path):
        unsealed(record)
    if record.get("model_sha256") != hashlib.sha256(data).hexdigest():
        raise EspalierError(f"{path}: is the sidecar of another model than {model.name}; export again or remove it")
    with reading(path, "is damaged: its record is not as it was written"):
        graph = read_graph(model)
        return _program(record, graph.constants, graph.file_bytes)


def _record(path: Path, model: bytes) -> dict[str, Any] | None:
    """Return what the file holds; None if it is of somebody else's, beside a model of somebody else's."""
    try:
        with reading(path):
            record = json.loads(read_whole(path, MOST_BESIDE_BYTES))
    except EspalierError:
        record = None
    if isinstance(record, dict) and record.get("format") == FORMAT:
        return record
    if _is_ours(model):
        raise EspalierError(f"{path}: is no sidecar, or was cut or changed; export again or remove it")
    return None


def _is_ours(model: bytes) -> bool:
    try:
        return onnx_package().ModelProto.FromString(model).producer_name == PRODUCER
    except EspalierError:
        raise
    except Exception:  # protobuf's own class; who reads the model says what is wrong with it
        return False


def _encode(item: Any) -> Any:
    if isinstance(item, FixedFormat):
        return str(item)
    if isinstance(item, IntEnum):
        return item.name
    if isinstance(item, np.ndarray):
        return item.tolist()
    if isinstance(item, np.generic):
        return item.item()
    if isinstance(item, tuple | list):
        return [_encode(value) for value in item]
    if is_dataclass(item):
        kind = {"kind": type(item).__name__} if type(item) in LAYERS else {}
        left_out = IN_MODEL if isinstance(item, MacLayer) else ()
        return kind | {x.name: _encode(getattr(item, x.name)) for x in fields(item) if x.name not in left_out}
    return item


def _program(record: dict[str, Any], constants: Constants, file_bytes: int) -> Program:
    content = dict(record["program"])
    made = [*content.pop("layers")]
    weights = sum(math.prod(layer["shape"]) for layer in made if layer["kind"] == MacLayer.__name__)
    check_unpacked(2 * weights, file_bytes, "its layers")  # masks, and what is made of them on the way
    found = _decoded(Program, content)
    signals, layers = {INPUT: found["input_signal"]}, []
    for layer in made:
        kind = KINDS[layer["kind"]]
        values = _decoded(kind, {key: value for key, value in layer.items() if key != "kind"})
        if kind is MacLayer:
            values |= _weights(values, constants, signals, record["target"] == TRANSPOSED)
        layers.append(kind(**values))
        signals[layers[-1].name] = layers[-1].output_signal(*(signals[source] for source in layers[-1].inputs))
    return Program(**found, layers=tuple(layers))


def _weights(values: dict[str, Any], constants: Constants, signals: dict[str, Signal], transposed: bool) -> Any:
    """Return weights in issue order and biases from the constants of the model."""
    name, shape, steps = values["name"], values["shape"], values["weight_steps"]
    pattern = parse_pattern(values["pattern"])
    kept = encoding.decode(pattern, values["encoding"], values["index"], shape)
    codes = _codes(constants, f"{name}.weight", steps)
    if values["window"] is None:
        matrix = codes.T if transposed else codes
    else:
        matrix = spread_weights(codes.reshape(*codes.shape[:2], -1), shape)
    if matrix.shape != (shape[0], shape[1] * shape[2]):
        raise EspalierError(f"{name}: the model holds weights {matrix.shape} for a layer of shape {shape}")
    bias = _codes(constants, f"{name}.bias", steps * signals[values["inputs"][0]].step).ravel()
    return {"weights": pattern.nest(kept).gather(matrix), "bias": bias}


def _codes(constants: Constants, name: str, steps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the codes that a model holds as integers, or as real values that are multiples of steps."""
    if f"{name}_codes" in constants:
        codes = constants[f"{name}_codes"]
        return codes.astype(np.int64) - (OFFSET if codes.dtype == np.uint8 else 0)
    if f"{name}_values" not in constants:
        raise EspalierError(f"{name}: the model holds neither {name}_codes nor {name}_values")
    values = constants[f"{name}_values"].astype(np.float64)
    return np.rint(values / per_output(steps, values.ndim)).astype(np.int64)


def _decoded(kind: type, content: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a dataclass as their annotations promise them."""
    hints = get_type_hints(kind)
    return {name: _decode(value, hints[name], f"{kind.__name__}.{name}") for name, value in content.items()}


def _decode(value: Any, hint: Any, what: str) -> Any:
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is UnionType:  # something or None
        return None if value is None else _decode(value, arguments[0], what)
    if origin is np.ndarray and isinstance(value, list):
        return np.array(value, get_args(arguments[1])[0])
    if origin is tuple and isinstance(value, list):
        hints = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return tuple(_decode(item, inner, what) for item, inner in zip(value, hints, strict=True))
    if origin is Mapping and isinstance(value, dict):
        return {name: _decode(item, arguments[1], what) for name, item in value.items()}
    if origin is FixedFormat and isinstance(value, str):
        return FixedFormat.parse(value)
    if isinstance(origin, type) and issubclass(origin, IntEnum) and isinstance(value, str):
        return origin[value]
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return hint(**_decoded(hint, value))
    plain = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}.get(origin, ())
    if type(value) not in plain:
        raise EspalierError(f"is damaged: {what} is of type {type(value).__name__}")
    return value

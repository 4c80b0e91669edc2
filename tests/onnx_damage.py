"""Damaged ONNX files: drawn from a seed, and imported one after another in a process of little memory.

Run as a script with a folder that holds them; prints one line of JSON for each file.
"""

import copy
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

MEMORY_BYTES = 1 << 30
SECONDS = 5
HUGE = (-1, 0, 1, 3, 1 << 16, 1 << 20, 1 << 31, (1 << 31) - 1, 1 << 40, (1 << 62) + 1, -(1 << 62))
Rng = np.random.Generator
FEW = ("int8",)  # models of which there are fewer files, for most of what they have others have too


def damaged(models: dict[str, Any], rng: Rng) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of damaged files, for every model and kind of damage."""
    for kind, (damage, count) in KINDS.items():
        for number in range(count):
            for name, model in models.items():
                if name in FEW and number >= count // 4:
                    continue
                yield f"{name}-{kind}-{number}.onnx", damage(copy.deepcopy(model), rng)


def cut(model: Any, rng: Rng) -> bytes:
    """Cut the file somewhere, or take a piece out of it."""
    data = model.SerializeToString()
    first, last = sorted(rng.integers(0, len(data), 2).tolist())
    return data[:first] if rng.random() < 0.5 else data[:first] + data[last:]


def flipped(model: Any, rng: Rng) -> bytes:
    """Change up to eight bytes, near the start of the file as often as anywhere."""
    data = bytearray(model.SerializeToString())
    for _ in range(rng.integers(1, 9)):
        reach = len(data) if rng.random() < 0.5 else min(len(data), 400)
        data[rng.integers(reach)] = rng.integers(256)
    return bytes(data)


def numbers(model: Any, rng: Rng) -> bytes:
    """Change up to eight bytes of constants, which often leaves a network that is right and another one."""
    tensors = [tensor for tensor in model.graph.initializer if tensor.raw_data]
    for _ in range(rng.integers(1, 9)):
        tensor = max((tensors[i] for i in rng.integers(0, len(tensors), 2)), key=lambda x: len(x.raw_data))
        data = bytearray(tensor.raw_data)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        tensor.raw_data = bytes(data)
    return model.SerializeToString()


def grown(model: Any, rng: Rng) -> bytes:
    """Put bytes in between, random ones or a piece of the file again."""
    data = model.SerializeToString()
    at, start = rng.integers(0, len(data), 2).tolist()
    piece = rng.bytes(20) if rng.random() < 0.5 else data[start : start + 200]
    return data[:at] + piece + data[at:]


def without(model: Any, rng: Rng) -> bytes:
    """Take fields away: nodes, inputs, outputs, attributes, constants, shapes."""
    for _ in range(rng.integers(1, 4)):
        message = _any_message(model, rng)
        fields = message.ListFields()
        if not fields:
            continue
        descriptor, value = fields[rng.integers(len(fields))]
        if descriptor.is_repeated and len(value) > 1 and rng.random() < 0.7:
            del value[int(rng.integers(len(value)))]
        else:
            message.ClearField(descriptor.name)
    return model.SerializeToString()


def huge(model: Any, rng: Rng) -> bytes:
    """Set sizes, strides, pads, types and other integers to numbers that are large, zero or negative."""
    for _ in range(rng.integers(1, 4)):
        for _ in range(50):
            message = _any_message(model, rng)
            fields = [(d, v) for d, v in message.ListFields() if d.cpp_type in (d.CPPTYPE_INT64, d.CPPTYPE_INT32)]
            if not fields:
                continue
            descriptor, value = fields[rng.integers(len(fields))]
            limit = 63 if descriptor.cpp_type == descriptor.CPPTYPE_INT64 else 31
            number = int(HUGE[rng.integers(len(HUGE))]) % (1 << limit) * (1 if rng.random() < 0.8 else -1)
            if not descriptor.is_repeated:
                setattr(message, descriptor.name, number)
            elif len(value):
                value[int(rng.integers(len(value)))] = number
            break
    return model.SerializeToString()


def rewired(model: Any, rng: Rng) -> bytes:
    """Let nodes read what others give, before or after them or themselves, and constants of other nodes."""
    nodes = model.graph.node
    names = [name for node in nodes for name in (*node.input, *node.output)] + ["", "nowhere"]
    for _ in range(rng.integers(1, 4)):
        node = nodes[rng.integers(len(nodes))]
        side = node.input if rng.random() < 0.8 and len(node.input) else node.output
        if len(side):
            side[int(rng.integers(len(side)))] = names[rng.integers(len(names))]
    return model.SerializeToString()


def renamed(model: Any, rng: Rng) -> bytes:
    """Make other operators of nodes, and other attributes of attributes."""
    nodes = model.graph.node
    kinds = [node.op_type for node in nodes] + ["Sigmoid", "If", "", "Reshape", "Squeeze", "Pad", "Trunc", "Split"]
    for _ in range(rng.integers(1, 4)):
        node = nodes[rng.integers(len(nodes))]
        if rng.random() < 0.5 or not len(node.attribute):
            node.op_type = kinds[rng.integers(len(kinds))]
        else:
            attribute = node.attribute[rng.integers(len(node.attribute))]
            attribute.type = int(rng.integers(0, 15))
    return model.SerializeToString()


def outside(model: Any, rng: Rng) -> bytes:
    """Say that constants lie in other files: outside of the folder, behind links, too short, at odd places."""
    places = ("../secret", "/etc/passwd", "/dev/zero", "link", "loop", "folder", "missing", "", "weights", "a\0b", "..")
    numbers = ("0", "-1", "99999999999999999999", "4", "x", "")
    for tensor in model.graph.initializer:
        if rng.random() < 0.5:
            tensor.ClearField("raw_data")
            tensor.data_location = 1
            for key, values in (("location", places), ("offset", numbers), ("length", numbers)):
                if rng.random() < 0.8:
                    tensor.external_data.add(key=key, value=values[rng.integers(len(values))])
    return model.SerializeToString()


KINDS: dict[str, tuple[Callable[[Any, Rng], bytes], int]] = {
    "cut": (cut, 15),
    "flipped": (flipped, 40),
    "numbers": (numbers, 20),
    "grown": (grown, 10),
    "without": (without, 40),
    "huge": (huge, 40),
    "rewired": (rewired, 25),
    "renamed": (renamed, 20),
    "outside": (outside, 10),
}


def _any_message(model: Any, rng: Rng) -> Any:
    """Return a message somewhere in the model."""
    message = model.graph if rng.random() < 0.9 else model
    while rng.random() < 0.7:
        inner = [
            part
            for descriptor, value in message.ListFields()
            if descriptor.message_type
            for part in (value if descriptor.is_repeated else [value])
        ]
        if not inner:
            break
        message = inner[rng.integers(len(inner))]
    return message


def peak_bytes() -> int:
    """Return the most memory that this program took; getrusage also counts what its parent had when it forked."""
    status = Path("/proc/self/status").read_text()
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) << 10


def limited() -> None:
    """Let this process have no more memory than that, and a file no more time."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    def late(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} seconds")

    signal.signal(signal.SIGALRM, late)


def import_all(folder: Path) -> None:
    """Import every file of a folder and print what came of it."""
    from accel.errors import EspalierError
    from accel.interchange.onnx.reading.file import onnx_package
    from accel.interchange.onnx.reading.model import import_model

    onnx_package()  # which takes a while, once
    limited()
    for path in sorted(folder.glob("*.onnx")):
        start, row = time.perf_counter(), {"file": path.name}
        signal.alarm(SECONDS)
        try:
            wide = {"multiplier_bits": 32, "nearest": True} if path.name.startswith(FEW) else {}
            found = import_model(path, **wide)
            row |= {"end": "import", "text": type(found.result).__name__}
        except EspalierError as error:
            row |= {"end": "error", "text": str(error)}
        except BaseException:
            row |= {"end": "traceback", "text": traceback.format_exc()}
        signal.alarm(0)
        row["seconds"] = round(time.perf_counter() - start, 3)
        print(json.dumps(row), flush=True)
    print(json.dumps({"peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import_all(Path(sys.argv[1]))

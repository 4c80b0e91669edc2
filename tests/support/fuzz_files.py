"""Damaged files of those that come from elsewhere: networks, Programs, ONNX with what lies beside it, data sets."""

import copy
import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx_damage

from accel import archive
from accel.cost import cost_of, signal_plans
from accel.fixedpoint import Rounding
from accel.interchange import zoo
from accel.interchange.data.cifar import RECORD_BYTES, read_cifar10
from accel.interchange.data.datasets import load
from accel.interchange.data.idx import read_idx
from accel.interchange.data.npz import read_npz
from accel.interchange.onnx.reading.model import import_model
from accel.interchange.onnx.writing.formats import export_model
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Steps, Widths, lower_calibrated
from accel.records import digest
from support.archives import header_and_payload, rebuild
from support.commandline import idx
from support.fuzz_cases import BINARY, TEXT, Rng, damaged
from support.onnx_models import MODELS

Run = Callable[[Path], None]
HUGE = (0, -1, 1, 2, 10**3, 10**5, 10**6, 10**9, 1 << 28, 1 << 31, 1 << 62, 10**30, 1.5, True, None, "1", [], {})
WORDS = ("input", "irregular", "2:4", "1:2", "block-1024", "ikss", "kernel", "dense", "none", "csr", "<f8", "\n", "é")
EXTENSIONS = (0, 100, 4096, 1 << 20, 1 << 27, 1 << 30)


# networks and Programs


@cache
def programs() -> tuple[bytes, ...]:
    """Return the files of small Programs of every kind of index."""
    images = load("digits", "train").take(16).pixels()
    found = []
    for pattern in zoo.patterns("digits"):
        calibration = Calibration(zoo.load("digits", pattern), images, Steps(power_of_two=True))
        program = lower_calibrated(calibration, Widths(3, 3, 4), rounding=Rounding.RND_CONV)
        found.append(archive.dump("program", program))
    return tuple(found)


@cache
def networks() -> tuple[bytes, ...]:
    """Return the files of small networks of every pattern."""
    return tuple(zoo.load("digits", pattern).to_bytes() for pattern in zoo.patterns("digits"))


def _one(things: tuple[Any, ...], rng: Rng) -> Any:
    return things[rng.integers(len(things))]


def check_program(path: Path) -> Program:
    """Return the Program at `path`; all that is computed of it must be there soon and in little memory."""
    program = Program.load(path)
    _ = cost_of(program).total, signal_plans(program)
    assert archive.dump("program", program) == archive.dump("program", Program.load(path))
    return program


def check_network(path: Path) -> PrunedNetwork:
    """Return the network at `path`, as `check_program`."""
    network = PrunedNetwork.load(path)
    assert 0 <= network.sparsity <= 1
    return network


def _raw(files: Callable[[], tuple[bytes, ...]], check: Callable[[Path], Any]) -> Callable[[Rng], Run]:
    """Return what makes files with a digest that no longer is theirs."""

    def make(rng: Rng) -> Run:
        whole = _one(files(), rng)
        data = damaged(whole, rng, BINARY)

        def run(folder: Path) -> None:
            (folder / "a.espalier").write_bytes(data)
            check(folder / "a.espalier")
            assert data == whole, "a file was changed and read"

        return run

    return make


def _signed(files: Callable[[], tuple[bytes, ...]], check: Callable[[Path], Any]) -> Callable[[Rng], Run]:
    """Return what makes files with a right digest of nonsense."""

    def make(rng: Rng) -> Run:
        header, payload = header_and_payload(_one(files(), rng))
        for _ in range(rng.integers(1, 4)):
            _change(header, rng)
        if rng.random() < 0.3:
            payload = damaged(payload, rng, BINARY)

        def run(folder: Path) -> None:
            (folder / "a.espalier").write_bytes(rebuild(header, payload))
            check(folder / "a.espalier")

        return run

    return make


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of every value in a JSON tree."""
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    for key, value in items:
        yield tree, key
        yield from places(value)


def _change(tree: Any, rng: Rng) -> None:
    """Give a value of a JSON tree another one, that of another place, or none."""
    found = list(places(tree))
    container, key = found[rng.integers(len(found))]
    what = rng.random()
    if what < 0.15:
        del container[key]
    elif what < 0.35:
        container[key] = copy.deepcopy(_value(*found[rng.integers(len(found))]))
    elif what < 0.8:
        container[key] = copy.deepcopy(HUGE[rng.integers(len(HUGE))])
    else:
        container[key] = _one(WORDS, rng)


def _value(container: Any, key: Any) -> Any:
    try:
        return container[key]
    except (IndexError, KeyError):
        return None


# ONNX


@cache
def models() -> dict[str, Any]:
    """Return small models."""
    return {name: draw().model() for name, draw in MODELS.items()}


def _onnx(name: str) -> Callable[[Rng], Run]:
    kinds = [damage for damage, _ in onnx_damage.KINDS.values()]

    def make(rng: Rng) -> Run:
        data = kinds[rng.integers(len(kinds))](copy.deepcopy(models()[name]), rng)

        def run(folder: Path) -> None:
            (folder / "weights").write_bytes(bytes(4096))
            (folder / "link").symlink_to("/etc/passwd")
            (folder / "loop").symlink_to("loop")
            (folder / "folder").mkdir()
            (folder / "a.onnx").write_bytes(data)
            import_model(folder / "a.onnx")

        return run

    return make


def _beside(rng: Rng) -> Run:
    """Let constants lie in a file beside the model: of any size, with holes, one range for many."""
    model = copy.deepcopy(models()[_one(tuple(models()), rng)])
    size, same = int(_one(EXTENSIONS, rng)), rng.random() < 0.5
    at = 0
    for tensor in model.graph.initializer:
        if rng.random() < 0.2:
            continue
        length = len(tensor.raw_data)
        if rng.random() < 0.1:
            length = int(_one(EXTENSIONS, rng))
            del tensor.dims[:]
            tensor.dims.append(length // 4)
        tensor.ClearField("raw_data")
        tensor.data_location = 1
        for key, value in (("location", "weights"), ("offset", at), ("length", length)):
            if rng.random() < 0.97:
                tensor.external_data.add(key=key, value=str(value))
        at += 0 if same else length
    data, written = model.SerializeToString(), rng.bytes(4096)

    def run(folder: Path) -> None:
        (folder / "a.onnx").write_bytes(data)
        with (folder / "weights").open("wb") as file:
            file.write(written)
            file.truncate(size)
        import_model(folder / "a.onnx")

    return run


@cache
def exported() -> dict[str, bytes]:
    """Return a model that `espalier export` writes of a Program, and its sidecar."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.espalier")
        path.write_bytes(programs()[1])
        model, beside = export_model(Program.load(path), "qcdq")
        return {"a.onnx": model, "a.json": beside, "a.espalier": programs()[1]}


def _sidecar(rng: Rng) -> Run:
    """Damage what lies beside an exported model; half of the time its digest is that of the nonsense."""
    files = exported()
    data, signed = files["a.json"], rng.random() < 0.5
    if signed:
        record = json.loads(data)
        _change(record["program"] if rng.random() < 0.8 else record, rng)
        record.pop("sha256", None)
        data = json.dumps(record | {"sha256": digest(record)}).encode()
    else:
        data = damaged(data, rng, TEXT)

    def run(folder: Path) -> None:
        (folder / "a.onnx").write_bytes(files["a.onnx"])
        (folder / "a.json").write_bytes(data)
        found = import_model(folder / "a.onnx").result
        same = isinstance(found, Program) and archive.dump("program", found) == files["a.espalier"]
        assert signed or same, "a sidecar was changed and read"

    return run


# data sets


def _idx(rng: Rng) -> Run:
    array = rng.integers(0, 256, (3, 4, 5) if rng.random() < 0.7 else (9,)).astype(np.uint8)
    zipped, what = rng.random() < 0.5, rng.random()
    data = idx(array)
    if what < 0.2:
        sizes = (1 << 31, 1 << 16, 1 << 20, 0, 28, 1 << 29)
        data = bytes([0, 0, 8, 3]) + b"".join(int(_one(sizes, rng)).to_bytes(4, "big") for _ in range(3))
        data += bytes(int(rng.integers(0, 1 << 22)))
    data = gzip.compress(data, 9, mtime=0) if zipped else data
    data = damaged(data, rng, BINARY) if what > 0.1 else data

    def run(folder: Path) -> None:
        (folder / "images").write_bytes(data)
        found = read_idx(folder / "images")
        sound = found.nbytes <= len(data) or zipped
        assert sound, "more than the file holds"
        if zipped and data[:2] == b"\x1f\x8b" and what >= 0.2:
            assert np.array_equal(found, array), "a changed file was read"

    return run


def _cifar(rng: Rng) -> Run:
    records = rng.integers(0, 10, (2, RECORD_BYTES)).astype(np.uint8)
    data = damaged(records.tobytes(), rng, BINARY)

    def run(folder: Path) -> None:
        (folder / "test_batch.bin").write_bytes(data)
        images, labels = read_cifar10(folder / "test_batch.bin")
        assert len(images) == len(labels) == len(data) // RECORD_BYTES
        assert labels.max() < 10

    return run


def _npz(rng: Rng) -> Run:
    arrays = {
        "images": rng.integers(0, 256, (4, 1, 8, 8)).astype(np.uint8),
        "labels": rng.integers(0, 10, 4),
        "names": np.array(["a", "bc"]),
    }
    buffer = io.BytesIO()
    (np.savez_compressed if rng.random() < 0.5 else np.savez)(buffer, **arrays)
    data = damaged(buffer.getvalue(), rng, BINARY)

    def run(folder: Path) -> None:
        (folder / "a.npz").write_bytes(data)
        found = read_npz(folder / "a.npz")
        assert all(name in arrays and np.array_equal(array, arrays[name]) for name, array in found.items())

    return run


def _npz_made(rng: Rng) -> Run:
    """Put members together that numpy never writes: sizes, types and headers of all kinds, packed in all ways."""
    shapes = ((1 << 20,), (1 << 34,), (1 << 40, 1 << 40), (), (0,), (-1,), (2, 3), (True,), (1.5,), ("a",), (1,) * 40)
    kinds = ("|u1", "<f4", ">f8", "|O", "<U0", "<U9", "|S1000000000", "<M8[s]", "<c8", "|V4", [("a", "<f4")], 5, "x")
    header = repr({"descr": _one(kinds, rng), "fortran_order": rng.random() < 0.5, "shape": _one(shapes, rng)})
    header = damaged(header.encode(), rng, TEXT).decode("latin1") if rng.random() < 0.4 else header
    text = header.encode("latin1")[:65000]
    member = b"\x93NUMPY" + bytes([int(_one((1, 1, 1, 2, 3, 9), rng)), 0])
    member += struct.pack("<H", len(text)) + text + bytes(int(_one((0, 6, 24, 1 << 20, 1 << 26), rng)))
    ways = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", ways[rng.integers(4)]) as file:
        for number in range(rng.integers(1, 4)):
            file.writestr(f"{number}.npy", member)
    data = bytearray(buffer.getvalue())
    at = data.rfind(b"PK\x01\x02")
    if rng.random() < 0.4:  # another flag, way, sum or size in the directory
        data[at + int(rng.integers(8, 30))] = int(rng.integers(256))

    def run(folder: Path) -> None:
        (folder / "a.npz").write_bytes(bytes(data))
        read_npz(folder / "a.npz")

    return run


FORMATS_OF: dict[str, Callable[[Rng], Run]] = {
    "Program": _raw(programs, check_program),
    "Program, signed anew": _signed(programs, check_program),
    "network": _raw(networks, check_network),
    "network, signed anew": _signed(networks, check_network),
    "ONNX, floats": _onnx("float"),
    "ONNX, QDQ": _onnx("qcdq"),
    "ONNX, QONNX": _onnx("qonnx"),
    "ONNX, integers": _onnx("qlinear"),
    "ONNX, data beside": _beside,
    "sidecar": _sidecar,
    "IDX": _idx,
    "CIFAR": _cifar,
    "npz": _npz,
    "npz, made up": _npz_made,
}

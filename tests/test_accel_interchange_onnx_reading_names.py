"""Names that exporters joined from many are shorter in what is imported, and are kept beside the short ones."""

import json
from pathlib import Path

import pytest
from support.commandline import espalier
from support.onnx_graphs import Drawing, images

from accel.fixedpoint import Rounding
from accel.interchange.onnx import sidecar
from accel.interchange.onnx.reading.builder import LONGEST_NAME
from accel.interchange.onnx.reading.model import ImportedNetwork, import_model
from accel.interchange.onnx.writing.formats import export_model
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Steps, Widths, lower

SCOPE = "StatefulPartitionedCall/net/conv2d"
JOINED = f"{SCOPE}/Relu;{SCOPE}/BiasAdd;{SCOPE}/Conv2D;{SCOPE}/BiasAdd/ReadVariableOp/resource"
LONG = "block/" * 40 + "conv"


def drawn(folder: Path) -> Path:
    """Return the file of three convolutions: one whose name is joined, one whose is long, one that says it all."""
    g = Drawing(1, 2, 8, 8)
    for name in (JOINED, LONG, "plain"):
        g.conv(2, 2, 3, name=name, pads=[1, 1, 1, 1])
    g.node("Flatten")
    g.gemm(3, 128)
    return g.save(folder / "model.onnx")


@pytest.fixture
def network(tmp_path: Path) -> PrunedNetwork:
    """Return what is imported."""
    found = import_model(drawn(tmp_path))
    assert isinstance(found, ImportedNetwork)
    return found.result


def test_short_names_know_the_long_ones(network: PrunedNetwork) -> None:
    """Short ones are unique and short; a name that is kept as it is has no other."""
    names = [layer.name for layer in network.network.layers]
    assert len(names) == len(set(names))
    assert max(map(len, names)) <= LONGEST_NAME
    originals = network.network.original_names
    assert originals is not None
    assert set(originals.values()) == {JOINED, LONG}
    assert originals.keys() <= set(names)
    assert "plain" in names


def test_files_and_programs_keep_them(network: PrunedNetwork, tmp_path: Path) -> None:
    """Network, Program, their files, and what an export reads back; a file without any is as it always was."""
    originals = network.network.original_names
    network.save(tmp_path / "network.espalier")
    assert PrunedNetwork.load(tmp_path / "network.espalier").network.original_names == originals
    program = lower(
        network, Widths(8, 8), images((2, 8, 8), 4), steps=Steps(power_of_two=True), rounding=Rounding.RND_CONV
    )
    assert Program.from_bytes(program.to_bytes()).original_names == originals
    model, beside = export_model(program, "qcdq")
    (tmp_path / "out.onnx").write_bytes(model)
    sidecar.place(tmp_path / "out.onnx").write_bytes(beside)
    back = import_model(tmp_path / "out.onnx").result
    assert isinstance(back, Program)
    assert back.original_names == originals
    plain = Program(**{**{x: getattr(program, x) for x in program.__dataclass_fields__}, "original_names": None})
    assert b"original_names" not in plain.to_bytes()
    assert b"original_names" in program.to_bytes()  # negative control


def test_inspect_says_them(tmp_path: Path) -> None:
    """In the numbers, each beside its layer."""
    done = espalier("inspect", drawn(tmp_path), "--json", tmp_path / "o.json")
    assert done.status == 0
    rows = json.loads((tmp_path / "o.json").read_text())["layers"]
    assert [row["original_name"] for row in rows if "original_name" in row] == [JOINED, LONG]

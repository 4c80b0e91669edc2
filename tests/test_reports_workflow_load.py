"""What a command is given as a network: of the zoo, of a file of ours, of an ONNX file whose values may be missing."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.commandline import complaint, espalier
from support.onnx_graphs import Drawing
from support.onnx_models import quantized_model

from accel.program import Program
from accel.pruned import PrunedNetwork
from reports.workflow.load import is_onnx, is_program, sizeable


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Return the file of a network with all its values."""
    g = Drawing(1, 3, 8, 8)
    g.conv(4, 3, 3, pads=[1, 1, 1, 1])
    g.node("Relu")
    g.conv(4, 4, 3, pads=[1, 1, 1, 1])
    g.node("Relu")
    g.node("Flatten")
    g.gemm(5, 256)
    return g.save(tmp_path / "drawn.onnx")


@pytest.fixture
def bare(drawn: Path) -> Path:
    """Return the file of the same network without values."""
    model = onnx.load(drawn)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
    onnx.save(model, drawn.with_name("bare.onnx"))
    return drawn.with_name("bare.onnx")


def test_a_file_is_what_it_begins_with(drawn: Path, tmp_path: Path) -> None:
    """An ONNX file by its name, unless it begins as ours do; what is not there, and a network of the zoo, are none."""
    ours = tmp_path / "ours.onnx"
    assert espalier("import", drawn, "-o", ours).status == 0
    assert [is_onnx(x) for x in (drawn, ours, tmp_path / "none.onnx", "lenet5")] == [True, False, False, False]
    assert espalier("quantize", "digits", "-o", tmp_path / "digits.onnx").status == 0
    assert [is_program(str(x)) for x in (tmp_path / "digits.onnx", ours, drawn, "lenet5")] == [
        True,
        False,
        False,
        False,
    ]


def test_what_has_a_size(drawn: Path, bare: Path, tmp_path: Path) -> None:
    """Networks, Programs and ONNX files of both; a pattern that values choose is refused where there are none."""
    found = sizeable(str(bare), None)
    assert isinstance(found, PrunedNetwork)
    assert found.shapes_alone
    whole = sizeable(str(drawn), "irregular")
    assert isinstance(whole, PrunedNetwork)
    assert (whole.pattern, whole.shapes_alone, whole.sparsity > 0) == ("irregular", False, True)
    onnx.save(quantized_model(qonnx=False).model(), tmp_path / "quantized.onnx")
    assert isinstance(sizeable(str(tmp_path / "quantized.onnx"), None), Program)
    assert isinstance(sizeable("digits", "kernel"), PrunedNetwork)
    assert complaint("size", bare, "--pattern", "kernel") == (
        "drawn: has the shapes of its weights and no values, which pruning (kernel) needs"
    )


def test_size_and_inspect_take_shapes(drawn: Path, bare: Path, tmp_path: Path) -> None:
    """The same counts as with values, on an array too; what lacks values says so, and other commands refuse it."""
    records = []
    for path in (drawn, bare):
        done = espalier("size", path, "--array", "4x2", "--json", tmp_path / "size.json")
        assert done.status == 0
        assert ("weights have no values" in done.err) == (path == bare)
        records.append(json.loads((tmp_path / "size.json").read_text()))
    for name in ("weights", "macs", "weight_memory_bits", "signal_memory_bits", "storage_bits"):
        assert records[0][name] == records[1][name]
    assert records[0]["estimate"]["cycles"] == records[1]["estimate"]["cycles"]
    assert records[0]["bias_memory_bits"] < records[1]["bias_memory_bits"]  # which values would make smaller
    done = espalier("inspect", bare, "--json", tmp_path / "inspect.json")
    assert (done.status, done.err) == (0, "")
    assert f"Next: espalier size {bare}" in done.out.replace("\n", " ")
    rows = {x["layer"]: x for x in json.loads((tmp_path / "inspect.json").read_text())["layers"]}
    assert [x["patterns"] for x in rows.values() if "patterns" in x] == [
        [{"pattern": "dense", "encoding": "none", "density": 1.0, "bits": 8 * np.prod(x["weights"])}]
        for x in rows.values()
        if "weights" in x
    ]
    assert "no values" in complaint("size", bare, "--data", "digits")
    for command in (("import", bare, "-o", tmp_path / "out"), ("report", bare), ("run", bare), ("verify", bare)):
        assert complaint(*command)
    assert not (tmp_path / "out").exists()

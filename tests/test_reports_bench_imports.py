"""`espalier bench import`: networks are drawn, imported in a process of their own, and measured."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from support.commandline import espalier

from accel.interchange.onnx.reading.model import ImportedNetwork, import_model
from reports.bench import imports
from reports.bench.imports import IMPORTED, draw, main
from reports.commands.schemas import schemas


@pytest.mark.parametrize(("name", "parameters"), [("alexnet", 61_100_840), ("vgg11", 132_863_336)])
def test_the_networks_are_torchvisions(name: str, parameters: int) -> None:
    """Weights and biases are as many as torchvision has (https://docs.pytorch.org/vision/stable/models.html)."""
    maps, size, features, weights = 3, 224, 0, 0
    for op, *row in IMPORTED[name]:
        if op == "Conv":
            outputs, kernel, stride, padding = row
            weights += outputs * maps * kernel**2 + outputs
            maps, size = outputs, (size + 2 * padding - kernel) // stride + 1
        elif op == "MaxPool":
            size = (size - row[0][0]) // row[1][0] + 1
        elif op == "Flatten":
            features = maps * size**2
        elif op == "Gemm":
            weights += row[0] * features + row[0]
            features = row[0]
    assert weights == parameters


def small(patch: pytest.MonkeyPatch) -> None:
    """Let the network be a small one."""
    patch.setitem(IMPORTED, "small", (("Conv", 2, 5, 4, 1), ("Relu",), imports.HALF, ("Flatten",), ("Gemm", 3)))
    patch.setattr(imports, "IMAGE", (3, 24, 24))


def test_what_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of the network that its rows say, 2 x 3 x 25 and 3 x 18 weights, is imported and saved."""
    small(monkeypatch)
    draw("small", tmp_path / "small.onnx")
    main(tmp_path / "small.onnx")
    weights, seconds, megabytes = (float(x) for x in capsys.readouterr().out.strip("[]\n").split(","))
    assert weights == 150 + 54
    assert 0 < seconds < 60
    assert 10 < megabytes < 64_000  # of this process, which has run other tests
    assert (tmp_path / "small.espalier").is_file()
    found = import_model(tmp_path / "small.onnx")
    assert isinstance(found, ImportedNetwork)
    assert found.result.network.shapes[found.result.network.output] == (3,)


def test_the_table_and_an_unknown_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command prints a row for each network, and writes it as its schema says; an unknown one ends in a line."""
    row = imports.Import(network="small", weights=1234, file_megabytes=5.4, seconds=1.26, megabytes=99.6)
    monkeypatch.setattr("reports.commands.bench.measured", lambda names: iter([row]))
    done = espalier("bench", "import", "--json", tmp_path / "found.json")
    assert done.status == 0
    record = json.loads((tmp_path / "found.json").read_text())
    schema = Draft202012Validator(schemas()[f"{imports.KIND.name}-{imports.KIND.version}.json"])
    assert [*schema.iter_errors(record)] == []
    assert record["imports"] == [asdict(row)]
    assert [*schema.iter_errors(record | {"imports": [{"network": "small"}]})]  # negative control
    for text in ("small", "1,234", "5", "1.3", "100"):
        assert text in done.out
    done = espalier("bench", "import", "resnet")
    assert (done.status, done.out) == (2, "")
    assert "unknown network 'resnet': import is measured on alexnet, vgg11" in done.err

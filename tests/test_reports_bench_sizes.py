"""`espalier bench size`: networks are drawn with values and without, sized in a process of their own, and measured."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from support.commandline import complaint, espalier

from accel.interchange.onnx.reading.model import import_model
from accel.pruned import PrunedNetwork
from reports.bench import sizes
from reports.bench.sizes import KIND, SIZED, Drawing, Size, draw, main
from reports.commands.schemas import schemas


@pytest.mark.parametrize(
    ("name", "parameters", "others"),
    [("vgg16", 138_357_544, 13_416), ("resnet50", 25_557_032, 54_120), ("mobilenetv2", 3_504_872, 35_112)],
)
def test_the_networks_are_torchvisions(
    monkeypatch: pytest.MonkeyPatch, name: str, parameters: int, others: int
) -> None:
    """As many weights as parameters (https://docs.pytorch.org/vision/stable/models.html) less biases and norms."""
    shapes: list[tuple[int, ...]] = []

    def weights(self: Drawing, *shape: int) -> tuple[str, str]:
        shapes.append(shape)
        return "weight", "bias"

    monkeypatch.setattr(Drawing, "weights", weights)
    SIZED[name](Drawing(224))
    assert sum(map(math.prod, shapes)) == parameters - others


def small(g: Drawing) -> str:
    """Draw a network of 3 x 4 x 9 and 4 x 1000 weights."""
    return g.scores(g.node("Relu", g.conv(sizes.IMAGE, 3, 4, 3)), 4)


def test_what_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both files hold the network that is drawn, one without values; sizing them takes time and memory."""
    monkeypatch.setitem(SIZED, "small", small)
    whole, bare = tmp_path / "small.espalier", tmp_path / "small.onnx"
    assert draw("small", whole, bare, side=12) == 3 * 4 * 9 + 4 * 1000
    given, found = PrunedNetwork.load(whole), import_model(bare, valued=False).result
    assert isinstance(found, PrunedNetwork)
    assert (given.shapes_alone, found.shapes_alone) == (False, True)
    assert found.network.shapes == given.network.shapes
    for file in (whole, bare):
        main("size", str(file))
        seconds, megabytes = json.loads(capsys.readouterr().out)
        assert 0 < seconds < 600  # of this process, which has run other tests
        assert 10 < megabytes < 64_000
    with pytest.raises(SystemExit):
        main("size", str(tmp_path / "none.onnx"))


def test_the_table_and_an_unknown_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command prints a row for each file, and writes it as its schema says; an unknown network ends in a line."""
    row = Size(network="small", weights=1234, values=False, seconds=1.26, megabytes=99.6)
    monkeypatch.setattr("reports.commands.bench.sized", lambda names: iter([row]))
    done = espalier("bench", "size", "--json", tmp_path / "found.json")
    assert done.status == 0
    record = json.loads((tmp_path / "found.json").read_text())
    schema = Draft202012Validator(schemas()[f"{KIND.name}-{KIND.version}.json"])
    assert [*schema.iter_errors(record)] == []
    assert record["sizes"] == [asdict(row)]
    assert [*schema.iter_errors(record | {"sizes": [{"network": "small"}]})]  # negative control
    for text in ("small", "shapes", "1,234", "1.3", "100"):
        assert text in done.out
    assert complaint("bench", "size", "lenet5") == (
        "unknown network 'lenet5': size is measured on vgg16, resnet50, mobilenetv2"
    )

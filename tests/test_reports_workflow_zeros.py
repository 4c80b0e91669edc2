"""`espalier size --images --zeros`: zeros of signals as the engine's codes have them, saved, told and drawn."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from support.commandline import Outcome, complaint, contents, espalier

from accel.cost import zeros_of
from accel.errors import EspalierError
from accel.interchange.data import datasets
from accel.program import Program
from reports.commands.schemas import schemas
from reports.report.zero_figures import zeros_figure
from reports.report.zero_tables import NOT_OURS, zeros_line
from reports.workflow.zeros import KIND, ZeroRow, Zeros
from sim import golden

IMAGES = 40
pytestmark = pytest.mark.usefixtures("few_calibration_images")


@pytest.fixture(scope="module")
def path(digits_file: Path) -> Path:
    """Return the file of digits."""
    return digits_file


def sized(path: Path | str, out: Path, *arguments: object) -> tuple[Outcome, dict[str, Any]]:
    """Return what `size` printed and wrote."""
    done = espalier("size", path, *arguments, "--json", out / "size.json")
    assert (done.status, done.err) == (0, "")
    return done, json.loads((out / "size.json").read_text())


def rows_of(program: Program, images: int) -> dict[str, dict[str, Any]]:
    """Return what golden's tensors say of the first training images."""
    codes = datasets.load("digits", "train").take(images).codes(program.input_signal)
    nonzeros = {name: np.count_nonzero(tensor, axis=0) for name, tensor in golden.run(program, codes).items()}
    names = "reads", "signal_density", "weights", "nonzero_weights", "macs", "effective_macs"
    found = zeros_of(program, nonzeros, images)
    return {x.name: {name: getattr(x, name) for name in names} | {"map_densities": [*x.map_densities]} for x in found}


class TestCommand:
    def test_the_numbers_are_those_of_the_definition(self, path: Path, tmp_path: Path) -> None:
        """Layer by layer they are what golden's codes of these images give; of fewer images they are others."""
        _, record = sized(path, tmp_path, "--images", IMAGES)
        expected, zeros = rows_of(Program.load(path), IMAGES), record["zeros"]
        assert (zeros["network"], zeros["data"], zeros["images"]) == ("digits", "digits", IMAGES)
        assert {x["name"]: {name: x[name] for name in expected[x["name"]]} for x in zeros["layers"]} == expected
        assert {x["name"]: x["macs"] for x in record["layers"] if x["pattern"]} == {
            x["name"]: x["macs"] for x in zeros["layers"]
        }
        fewer = sized(path, tmp_path, "--images", IMAGES - 1)[1]["zeros"]["layers"]
        assert [x["effective_macs"] for x in fewer] != [x["effective_macs"] for x in zeros["layers"]]

    def test_energy_with_gates(self, path: Path, tmp_path: Path) -> None:
        """On an array zeros spare energy and no cycle, and it is said that our hardware has no gates.

        The order of output maps, in which a network is laid out for an array, changes nothing of zeros.
        """
        plain = sized(path, tmp_path, "--array", "8x8")[1]
        done, record = sized(path, tmp_path, "--array", "8x8", "--images", IMAGES)
        zeros, estimate = record["zeros"], record["estimate"]
        assert (plain["zeros"], plain["estimate"]) == (None, estimate)
        assert zeros["joules"] == estimate["energy"]["total_joules"] > zeros["gated_joules"] > 0
        spared = sum(x["joules"] - x["gated_joules"] for x in zeros["layers"])
        assert zeros["joules"] - zeros["gated_joules"] == pytest.approx(spared)
        assert all(x["gated_joules"] < x["joules"] for x in zeros["layers"])
        (line,) = (line for line in done.out.splitlines() if line.startswith("zeros: "))
        assert NOT_OURS in line
        assert f"{1e9 * zeros['gated_joules']:,.1f} of {1e9 * zeros['joules']:,.1f} nJ" in line
        arguments = ("--pattern", "kernel", "--images", IMAGES)
        apart, ordered = (sized("digits", tmp_path, *arguments, *more)[1] for more in ((), ("--array", "8x8")))
        counted = [[x | {"joules": 0, "gated_joules": 0} for x in one["zeros"]["layers"]] for one in (apart, ordered)]
        assert counted[0] == counted[1]
        assert apart["zeros"]["joules"] is None

    def test_the_table(self, path: Path, tmp_path: Path) -> None:
        """A row for each layer with its effective MACs beside all of them; energies where there are any."""
        done, record = sized(path, tmp_path, "--images", IMAGES, "--array", "8x8")
        lines = done.out[done.out.index("digits: what is not zero") :].splitlines()
        for x in record["zeros"]["layers"]:
            (line,) = [line for line in lines if line.startswith(f"│ {x['name']} ")]
            cells = [cell.strip() for cell in line.strip("│").split("│")]
            assert cells[1:3] == [x["reads"], f"{x['signal_density']:.1%}"]
            assert cells[3] == f"{100 * min(x['map_densities']):.0f}..{100 * max(x['map_densities']):.0f} %"
            assert cells[6:9] == [f"{x['macs']:,}", f"{x['effective_macs']:,.0f}", f"{1e9 * x['joules']:,.1f}"]
        assert max(len(line) for line in lines if line.startswith("│")) <= 120
        assert "nJ" not in "".join(
            line for line in sized(path, tmp_path, "--images", 1)[0].out.splitlines() if "┃" in line
        )

    def test_files(self, path: Path, tmp_path: Path) -> None:
        """zeros.json reads back as the record, fits its schema and no other does; the figure shows every layer."""
        record = sized(path, tmp_path, "--zeros", tmp_path / "zeros", "--array", "8x8")[1]["zeros"]
        assert record["images"] == 64  # all that calibrate
        assert {x.name for x in (tmp_path / "zeros").iterdir()} == {"zeros.json", "zeros.svg", "zeros.png"}
        text = (tmp_path / "zeros" / "zeros.json").read_text()
        assert json.loads(json.dumps(asdict(Zeros.from_json(text)))) == record
        schema, file = Draft202012Validator(schemas()[f"{KIND.name}-{KIND.version}.json"]), json.loads(text)
        assert not [*schema.iter_errors(file)]
        rows = [{**file["layers"][0], "effective_macs": "many"}]
        assert all([*schema.iter_errors(file | changed)] for changed in ({"layers": rows}, {"more": 1}))
        with pytest.raises(EspalierError, match="its SHA-256 does not match"):
            Zeros.from_json(text.replace('"images": 64', '"images": 65'))
        svg = ElementTree.fromstring((tmp_path / "zeros" / "zeros.svg").read_bytes())
        texts = {"".join(x.itertext()) for x in svg.iter("{http://www.w3.org/2000/svg}text")}
        assert {"conv1", "conv2", "conv3", "fc4", "effective", "pruned"} <= texts


class TestRefusals:
    def test_images(self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """More images than there are, none, and a file in the folder's place: a line each, and nothing is written."""
        monkeypatch.chdir(tmp_path)
        assert complaint("size", path, "--images", 65) == "digits (train): count must be 1..64, got 65"
        assert "0 is not in the range x>=1" in complaint("size", path, "--images", 0)
        assert "is a file" in complaint("size", path, "--zeros", path)
        assert contents(tmp_path) == {}

    def test_no_data(self, path: Path, tmp_path: Path) -> None:
        """A Program that does not say for which images it was made needs --data; sized without zeros it does not."""
        nameless = tmp_path / "nameless.espalier"
        replace(Program.load(path), data="").save(nameless)
        words = f"{nameless}: does not say which data set it was made for; name one with --data"
        assert complaint("size", nameless, "--images", 1).startswith(words)
        assert sized(nameless, tmp_path)[1]["zeros"] is None
        assert sized(nameless, tmp_path, "--images", 1, "--data", "digits")[1]["zeros"]["images"] == 1


class TestFigure:
    def test_bars_and_dots(self) -> None:
        """Bars are shares of the MACs before pruning and sum to all of them; a dot is a map, a stroke the layer."""
        row = {"reads": "input", "weights": 6, "nonzero_weights": 5, "dense_macs": 200, "macs": 100}
        densities = {"signal_density": 0.5, "map_densities": (0.25, 0.75)}
        layers = [
            ZeroRow(name=name, effective_macs=macs, **densities, **row) for name, macs in (("a", 50.0), ("b", 10.0))
        ]
        figure = zeros_figure(Zeros(network="net", pattern="kernel", data="d", images=2, layers=tuple(layers)))
        shares, maps = figure.axes
        widths = [[bar.get_width() for bar in part] for part in shares.containers]
        assert widths == [[25, 5], [25, 45], [50, 50]]
        assert [label.get_text() for label in shares.get_yticklabels()] == ["a", "b"]
        assert [line.get_xdata().tolist() for line in maps.lines[:1]] == [[25, 75]]
        assert [[float(x) for x in line.get_xdata()] for line in maps.lines[1::2]] == [[50], [50]]

    def test_the_line_without_an_array(self) -> None:
        """Then there is no energy to speak of."""
        row = {"reads": "input", "weights": 6, "nonzero_weights": 5, "dense_macs": 200, "macs": 100}
        layer = ZeroRow(name="a", effective_macs=50.0, signal_density=0.5, map_densities=(0.5,), **row)
        found = Zeros(network="net", pattern="kernel", data="d", images=1, layers=(layer,))
        assert zeros_line(found) == "zeros: 50 of 100 MACs are effective (50.0%), 1 training image of d"
        assert zeros_line(replace(found, joules=2e-9, gated_joules=1e-9)).endswith(f"1.0 of 2.0 nJ ({NOT_OURS})")

"""The sidecar: import(export(p)) is p, byte for byte of its file; one that does not fit its model is refused."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.onnx_graphs import Drawing
from support.onnx_referees import exact_programs, exportable, refusal, with_one_code_changed

from accel import archive
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.onnx import sidecar
from accel.interchange.onnx.reading.model import ImportedNetwork, import_model
from accel.interchange.onnx.writing.formats import WRITERS, export_model
from accel.program import KIND, Program

Change = Callable[[dict[str, Any]], None]


def written(made: Program, form: str, folder: Path) -> Path:
    """Export a Program and return where the model lies."""
    model, beside = export_model(made, form)
    (folder / "model.onnx").write_bytes(model)
    (folder / "model.json").write_bytes(beside)
    return folder / "model.onnx"


def same(left: Any, right: Program) -> bool:
    """Return whether two Programs are saved as the same bytes."""
    return isinstance(left, Program) and archive.dump(KIND, left) == archive.dump(KIND, right)


class TestRoundTrip:
    @pytest.mark.parametrize("form", WRITERS)
    @pytest.mark.parametrize("pattern", zoo.patterns("lenet5"))
    def test_patterns(self, form: str, pattern: str, tmp_path: Path) -> None:
        """Every pattern comes back with its index, its encoding and its widths."""
        made = exportable("lenet5", 4, 5, pattern)
        assert same(import_model(written(made, form, tmp_path)).result, made)

    @pytest.mark.slow
    @pytest.mark.parametrize("form", WRITERS)
    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_any_program(self, form: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
        """So does any Program that can be exported, its ap_fixed modes and spare accumulator bits too."""
        made = data.draw(exact_programs(longest=16 if form == "qonnx" else 8))
        assume(refusal(made, form) is None)
        assert same(sidecar.read(written(made, form, tmp_path_factory.mktemp("any"))), made)

    def test_a_residual_network(self, tmp_path: Path) -> None:
        """Additions and means come back too."""
        made = exportable("resnet20")
        assert same(import_model(written(made, "qlinear", tmp_path)).result, made)

    def test_another_program_is_seen(self, tmp_path: Path) -> None:
        """Negative control: one spare accumulator bit, or another word length, is another Program."""
        made = exportable("lenet5", 4, 5)
        found = import_model(written(made, "qcdq", tmp_path)).result
        assert isinstance(found, Program)
        spare = replace(made.layers[0], accumulator_bits=made.layers[0].accumulator_bits + 1)  # type: ignore[attr-defined]
        assert not same(found, replace(made, layers=(spare, *made.layers[1:])))
        assert not same(found, exportable("lenet5", 3, 4))

    def test_weights_are_the_models(self, tmp_path: Path) -> None:
        """Weights lie in the model alone: with the digests made to fit, a changed one comes back changed."""
        made = exportable("lenet5", 4, 5)
        path = written(made, "qcdq", tmp_path)
        path.write_bytes(with_one_code_changed(path.read_bytes(), "fc5.weight_codes"))
        changed(tmp_path, lambda record: record.update(model_sha256=digest(path)))
        found = sidecar.read(path)
        assert found is not None
        differences = (found.mac_layers[-1].matrix - made.mac_layers[-1].matrix).ravel()
        assert sorted(differences)[:2] == [-1, 0]

    def test_for_another_data_set(self, tmp_path: Path) -> None:
        """What a user says of the data set goes above what the sidecar says."""
        path = written(exportable("lenet5", 4, 5), "qcdq", tmp_path)
        assert import_model(path, "fashion-mnist").result.data == "fashion-mnist"


def read(path: Path) -> tuple[str, Program | None]:
    """Return the line with which a sidecar is refused, or the Program."""
    try:
        return "", sidecar.read(path)
    except EspalierError as error:
        return str(error), None


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def changed(folder: Path, change: Change) -> None:
    """Change the record of model.json, and give it the digest of what it says now."""
    record = json.loads((folder / "model.json").read_text())
    record.pop("sha256")
    change(record)
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    record["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "model.json").write_text(json.dumps(record))


def of_layer(**fields: Any) -> Change:
    """Return a change of fields of the first layer."""
    return lambda record: record["program"]["layers"][0].update(fields)


DAMAGED: dict[str, tuple[Change, str]] = {
    "a later version": (lambda r: r.update(version=2), "has sidecar version 2, this release reads 1"),
    "no program": (lambda r: r.pop("program"), "not as it was written (KeyError)"),
    "an unknown kind": (of_layer(kind="Sigmoid"), "not as it was written (KeyError)"),
    "an unknown field": (of_layer(color=1), "not as it was written (KeyError)"),
    "a wrong type": (of_layer(relu="yes"), "is damaged: MacLayer.relu is of type str"),
    "a number too many": (of_layer(shape=[6, 1, 25, 1]), "not as it was written (ValueError)"),
    "another shape": (of_layer(shape=[7, 1, 25]), "no groups of a layer of shape"),
    "an accumulator that is too narrow": (of_layer(accumulator_bits=3), "conv1: accumulator_bits must be at least"),
    "a pattern that is none": (of_layer(pattern="stars"), "unknown pattern 'stars'"),
    "an index that is none": (of_layer(encoding="bitmap"), "dense is not stored as 'bitmap'"),
    "a mode that is none": (
        lambda r: r["program"]["input_signal"].update(format="ap_ufixed<8,8,AP_UP>"),
        "AP_UP in 'ap_ufixed<8,8,AP_UP>' is not one of",
    ),
    "a tensor that is not there": (of_layer(name="conv0"), "the model holds neither conv0.weight_codes nor"),
    "a layer of its own input": (of_layer(inputs=["conv2"]), "not as it was written (KeyError)"),
    "a huge layer": (of_layer(shape=[1 << 20, 1 << 20, 25]), "bytes unpack to must be at most"),
}


class TestDamage:
    @pytest.mark.parametrize("case", DAMAGED)
    def test_a_record_that_nobody_wrote(self, case: str, tmp_path: Path) -> None:
        """A record with a right digest that says what no Program is ends in one line that names the file."""
        change, words = DAMAGED[case]
        path = written(exportable("lenet5", 4, 5), "qcdq", tmp_path)
        changed(tmp_path, change)
        with pytest.raises(EspalierError) as caught:
            import_model(path)
        assert words in str(caught.value)
        assert str(caught.value).startswith(f"{tmp_path / 'model.json'}: ")
        assert "\n" not in str(caught.value)

    def test_unchanged_it_is_read(self, tmp_path: Path) -> None:
        """Negative control of the changes above: a change of nothing is read."""
        path = written(exportable("lenet5", 4, 5), "qcdq", tmp_path)
        changed(tmp_path, lambda record: None)
        assert same(sidecar.read(path), exportable("lenet5", 4, 5))

    def test_any_changed_or_missing_byte(self, tmp_path: Path) -> None:
        """A sidecar that was cut or changed is refused, or says the same as before; never anything else."""
        made = exportable("lenet5", 4, 5)
        path = written(made, "qcdq", tmp_path)
        data, rng = (tmp_path / "model.json").read_bytes(), np.random.default_rng(0)
        refused = 0
        for place in rng.integers(0, len(data), 60).tolist():
            for damaged in (data[:place], data[:place] + bytes([data[place] ^ 0x11]) + data[place + 1 :]):
                (tmp_path / "model.json").write_bytes(damaged)
                line, found = read(path)
                assert same(found, made) or line.startswith(f"{tmp_path / 'model.json'}: ")
                refused += bool(line)
        assert refused > 80  # white space is no part of what it says

    def test_another_model(self, tmp_path: Path) -> None:
        """A sidecar goes with its model alone, were it but one bit away."""
        path = written(exportable("lenet5", 4, 5), "qcdq", tmp_path)
        path.write_bytes(with_one_code_changed(path.read_bytes(), "fc5.weight_codes"))
        with pytest.raises(
            EspalierError, match=r"model\.json: is the sidecar of another model than model\.onnx; export"
        ):
            import_model(path)

    def test_somebody_elses(self, tmp_path: Path) -> None:
        """Beside somebody else's model a file of that name is no concern of ours; beside ours it must be a sidecar."""
        drawing = Drawing("batch", 2, 8, 8)
        drawing.conv(3, 2, 3)
        path = drawing.save(tmp_path / "model.onnx")
        for text in ("{}", "no JSON", '{"format": "of somebody else"}', "[" * 100_000):
            (tmp_path / "model.json").write_text(text)
            assert sidecar.read(path) is None
            assert isinstance(import_model(path), ImportedNetwork)
        written(exportable("lenet5", 4, 5), "qcdq", tmp_path)
        (tmp_path / "model.json").write_text("{}")
        with pytest.raises(EspalierError, match="is no sidecar, or was cut or changed; export again or remove it"):
            sidecar.read(path)
        (tmp_path / "model.json").unlink()
        assert sidecar.read(path) is None

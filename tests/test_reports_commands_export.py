"""`espalier export`, and `--formats`: what is written is what importing and quantising say, else one line."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.commandline import ROOT, complaint, contents, espalier, espalier_process
from support.onnx_graphs import Drawing
from support.onnx_referees import check

from accel.interchange.data import datasets
from accel.program import Program
from sim.engine import compile_program

FORMATS = ("qonnx", "qcdq", "qlinear")
EXACT = ("--power-of-two", "--rounding", "RND_CONV", "--weight-bits", 4, "--signal-bits", 5)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two Programs of the digits: one that ONNX has the arithmetic of, and one that it has not."""
    folder = tmp_path_factory.mktemp("made")
    for name, words in (("exact", EXACT), ("other", ())):
        done = espalier("quantize", "digits", "--pattern", "kernel", *words, "-o", folder / f"{name}.espalier")
        assert (done.status, done.err) == (0, "")
    return folder


class TestModels:
    @pytest.mark.parametrize("form", FORMATS)
    def test_there_and_back(self, form: str, made: Path, tmp_path: Path) -> None:
        """What export writes, import reads back byte for byte, and a runtime runs to the same codes."""
        program, out = made / "exact.espalier", tmp_path / "out.onnx"
        done = espalier("export", program, "--format", form, "-o", out)
        assert (done.status, done.err) == (0, "")
        assert done.out == f"{out}: digits, 7 layers, {form}; masks, formats and widths in out.json\n"
        assert set(contents(tmp_path)) == {"out.onnx", "out.json"}
        done = espalier("import", out, "-o", tmp_path / "back.espalier")
        assert (done.status, done.err) == (0, "")
        assert f"note: read with {tmp_path / 'out.json'}\n" in done.out
        assert (tmp_path / "back.espalier").read_bytes() == program.read_bytes()
        loaded = Program.load(program)
        images = datasets.load("digits", "test").take(50).pixels()
        codes = loaded.input_signal.encode(images)
        check(loaded, form, compile_program(loaded).run(codes, keep_tensors=True).tensors)

    @pytest.mark.parametrize("form", FORMATS)
    def test_without_its_sidecar(self, form: str, made: Path, tmp_path: Path) -> None:
        """Without the sidecar QONNX and QCDQ give the same codes for what they say; QLinear does not say enough."""
        out = tmp_path / "out.onnx"
        espalier("export", made / "exact.espalier", "--format", form, "-o", out)
        (tmp_path / "out.json").unlink()
        if form == "qlinear":
            line = complaint("import", out, "-o", tmp_path / "back.espalier")
            assert line.startswith(f"{out}: MatMulInteger 'fc4.products': ")
            assert line.endswith("keep the sidecar beside it, or export with --format qcdq")
            return
        done = espalier("import", out, "-o", tmp_path / "back.espalier")
        assert (done.status, done.err) == (0, "")
        back, loaded = Program.load(tmp_path / "back.espalier"), Program.load(made / "exact.espalier")
        codes = loaded.input_signal.encode(datasets.load("digits", "test").take(50).pixels())
        assert np.array_equal(compile_program(back).run(codes).codes, compile_program(loaded).run(codes).codes)

    @pytest.mark.parametrize("form", FORMATS)
    def test_what_is_not_exact(self, form: str, made: Path, tmp_path: Path) -> None:
        """A Program whose arithmetic a format does not have is refused; nothing is written, and the line says why."""
        line = complaint("export", made / "other.espalier", "--format", form, "-o", tmp_path / "out.onnx")
        assert line == (
            "input: its step 0.00392157 is no power of two; "
            "quantise with power-of-two steps (espalier quantize --power-of-two)"
        )
        assert contents(tmp_path) == {}

    def test_what_was_there_stays(self, made: Path, tmp_path: Path) -> None:
        """A refusal leaves the files of before."""
        (tmp_path / "out.onnx").write_text("before")
        complaint("export", made / "other.espalier", "--format", "qcdq", "-o", tmp_path / "out.onnx")
        assert contents(tmp_path) == {"out.onnx": b"before"}


class TestHeader:
    def test_any_program(self, made: Path, tmp_path: Path) -> None:
        """A header is written of either Program, with the types that its steps ask for."""
        for name, words in (("exact", "types hold real values"), ("other", "Types hold codes")):
            out = tmp_path / f"{name}.h"
            done = espalier("export", made / f"{name}.espalier", "--format", "hls", "-o", out)
            assert (done.status, done.err) == (0, "")
            lines = out.read_text().splitlines()
            assert done.out == f"{out}: digits, 7 layers, {len(lines):,} lines of C++\n"
            assert words in lines[1]
        assert set(contents(tmp_path)) == {"exact.h", "other.h"}

    @pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler: apt-get install g++")
    def test_it_is_cpp(self, made: Path, tmp_path: Path) -> None:
        """A compiler takes it as it is; with a bracket less it does not."""
        espalier("export", made / "exact.espalier", "--format", "hls", "-o", tmp_path / "digits.h")
        words = ["g++", "-std=c++17", "-fsyntax-only", f"-I{ROOT / 'tests' / 'support' / 'cpp'}"]
        for text, status in (("", 0), ("}", 1)):
            (tmp_path / "main.cpp").write_text(f'#include "digits.h"\n{text}\nint main() {{}}\n')
            assert (
                subprocess.run([*words, "main.cpp"], cwd=tmp_path, check=False, capture_output=True).returncode
                == status
            )


class TestLines:
    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (
                ("--format", "qcdq", "-o", "out.json"),
                "out.json: expected a file whose name ends in .onnx, beside which",
            ),
            (("--format", "qcdq", "-o", "no/out.onnx"), "cannot write to no/out.onnx: No such file or directory"),
            (("--format", "hls", "-o", "no/out.h"), "cannot write to no/out.h: No such file or directory"),
            (
                ("--format", "tflite", "-o", "out.onnx"),
                "unknown format 'tflite': did you mean 'qlinear'? (known: ",
            ),
            (("-o", "out.onnx"), "Missing option '--format'."),
            (("--format", "qcdq"), "Missing option '--out' / '-o'."),
        ],
    )
    def test_bad_words(self, words: tuple[str, ...], line: str, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each ends in one line."""
        monkeypatch.chdir(made)
        before = contents(made)
        assert complaint("export", "exact.espalier", *words).startswith(line)
        assert contents(made) == before

    def test_no_program(self, tmp_path: Path) -> None:
        """A file that is no Program is refused as everywhere."""
        (tmp_path / "x.espalier").write_bytes(b"hello")
        line = complaint("export", tmp_path / "x.espalier", "--format", "hls", "-o", tmp_path / "x.h")
        assert line.startswith(f"{tmp_path / 'x.espalier'}: is not an Espalier file")

    @pytest.mark.parametrize(("form", "status"), [("qcdq", 2), ("hls", 0)])
    def test_without_onnx(self, form: str, status: int, made: Path, tmp_path: Path) -> None:
        """Without the package the line says how to get it; a header needs none."""
        words = "export", made / "exact.espalier", "--format", form, "-o", tmp_path / "out.onnx"
        done = espalier_process(*words, before="import sys; sys.modules['onnx'] = None")
        assert done.status == status
        assert done.err.startswith("espalier: ONNX files need the package onnx: pip install onnx") == (status == 2)


GIVEN = """
input = "ap_ufixed<8,0,AP_RND,AP_SAT>"
[conv1]
weight = "ap_fixed<6,1,AP_RND,AP_SAT>"
output = "ap_ufixed<8,3,AP_RND_CONV,AP_SAT>"
"""


def complaint_about(text: str, folder: Path, *words: object) -> str:
    """Return the line with which quantising with this file is refused, after the file's name."""
    (folder / "f.toml").write_text(text)
    line = complaint("quantize", "digits", "--formats", folder / "f.toml", *words, "-o", folder / "x.espalier")
    assert set(contents(folder)) == {"f.toml"}
    return line.removeprefix(f"{folder / 'f.toml'}: ")


class TestFormats:
    def test_quantize(self, tmp_path: Path) -> None:
        """The Program has what the file says, and at other layers what the options say."""
        (tmp_path / "f.toml").write_text(GIVEN)
        done = espalier(
            "quantize", "digits", "--formats", tmp_path / "f.toml", "--weight-bits", 5, "-o", tmp_path / "x.espalier"
        )
        assert (done.status, done.err) == (0, "")
        program = Program.load(tmp_path / "x.espalier")
        assert [layer.weight_bits for layer in program.mac_layers] == [6, 5, 5, 5]
        assert str(program.signals["conv1"].format) == "ap_ufixed<8,8,AP_RND_CONV,AP_SAT>"
        assert program.signals["conv1"].step == 1 / 32
        assert str(program.input_signal.format) == "ap_ufixed<8,8,AP_RND,AP_SAT>"

    def test_import(self, tmp_path: Path) -> None:
        """So has a float network from an ONNX file."""
        drawing = Drawing("batch", 2, 8, 8)
        drawing.conv(3, 2, 3)
        drawing.node("Relu")
        drawing.conv(4, 3, 3)
        path = drawing.save(tmp_path / "model.onnx")
        np.savez(tmp_path / "images.npz", images=np.random.default_rng(0).random((8, 2, 8, 8), np.float32))
        (tmp_path / "f.toml").write_text(GIVEN.replace("conv1", "conv0"))
        words = ("import", path, "--formats", tmp_path / "f.toml", "-o", tmp_path / "x.espalier")
        done = espalier(*words, "--data", tmp_path / "images.npz")
        assert done.status == 0
        assert done.err.startswith("note: ")  # of what the file holds
        assert len(done.err.splitlines()) == 1
        program = Program.load(tmp_path / "x.espalier")
        assert program.mac_layers[0].weight_bits == 6
        assert program.signals["conv0"].step == 1 / 32
        assert complaint(*words) == "--formats: nothing is quantised here; images to calibrate with go with --data"

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("[conv1", "is not TOML: "),
            ('conv1 = "ap_fixed<8,3>"', "conv1: expected a table [conv1] with weight = "),
            ('[conv1]\nbias = "ap_fixed<8,3>"', "conv1: has no 'bias'; expected weight or output"),
            ("[conv1]\nweight = 8", "conv1: weight: expected a text such as "),
            ("input = 8", "input: expected a text such as "),
            ('[conv1]\nweight = "fixed<8>"', "conv1: weight: 'fixed<8>' is not a format: expected ap_fixed<W,I,Q,O,N>"),
            ('[conv1]\nweight = "ap_fixed<8,3,AP_UP>"', "conv1: weight: AP_UP in 'ap_fixed<8,3,AP_UP>' is not one of"),
            ('[conv1]\nweight = "ap_ufixed<8,3>"', "conv1: weights have a sign, got ap_ufixed<8,3>; expected ap_fixed"),
            ('[conv9]\nweight = "ap_fixed<8,3>"', "conv9: digits has no weight format of that name; those of conv1, "),
        ],
    )
    def test_lines(self, text: str, line: str, tmp_path: Path) -> None:
        """What is no format, or of no layer, ends in a line with its place."""
        assert complaint_about(text, tmp_path).startswith(line)

    @pytest.mark.parametrize("words", [("--retrain", 1), ("--search", 3), ("--budget-error", 0.1)])
    def test_what_would_change_them(self, words: tuple[object, ...], tmp_path: Path) -> None:
        """Given formats are not searched for."""
        line = complaint_about(GIVEN, tmp_path, *words)
        assert line == "--formats says what is given; --search, --retrain and the budgets would change it"

    def test_no_file(self, tmp_path: Path) -> None:
        """A file that is not there is named."""
        words = ("quantize", "digits", "--formats", tmp_path / "no.toml", "-o", tmp_path / "x.espalier")
        assert complaint(*words) == f"{tmp_path / 'no.toml'}: No such file or directory"

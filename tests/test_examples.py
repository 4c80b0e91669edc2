"""The examples run as a user runs them, and say what they are there to say."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from support.commandline import espalier

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SAYS = {  # a script, its arguments, and what it prints
    "size_an_array": (["9000"], "9,000 images/s at 200 MHz need 4x4 lanes"),
    "quantize_and_run": ([], "8-bit weights: "),
    "prune_with_a_selector": (["10"], " particle filter: "),
    "patterns_over_arrays": ([], "             dense   100%  10.32   100%   100%   100%   100%"),
    "generate_and_verify": (["build"], "build: espalier.v, testbench.v and what they read"),
}


def test_every_script_is_run() -> None:
    """A script that is added has its line above."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == SAYS.keys()


def test_every_script_is_shown() -> None:
    """The page has each as a snippet, whose marker no formatter of Python takes for an expression."""
    shown = re.findall(r"^--8<--\n(\S+)\n--8<--$", (ROOT / "docs" / "examples.md").read_text(), re.MULTILINE)
    scripts = [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("cocotb/*.py"), *EXAMPLES.glob("litex/*.py")]
    assert {path.relative_to(ROOT).as_posix() for path in scripts} == {name for name in shown if name.endswith(".py")}
    assert all((ROOT / name).is_file() for name in shown)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_script(name: str, tmp_path: Path) -> None:
    """It ends well, in a folder that holds nothing, and prints its line; each checks itself what must be equal."""
    arguments, line = SAYS[name]
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert line in done.stdout
    assert name != "generate_and_verify" or (tmp_path / "build" / "espalier.v").is_file()


@pytest.mark.slow
def test_a_wish_that_nothing_meets() -> None:
    """Negative control: no array is fast enough, and the script says so and fails."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / "size_an_array.py", "1e9"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (1, "none of these arrays gives 1,000,000,000 images/s at 200 MHz\n")


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("litex") is None or shutil.which("riscv64-unknown-elf-gcc") is None,
    reason="needs LiteX and what examples/litex/soc.py names",
)
def test_litex(digits_file: Path, tmp_path: Path) -> None:
    """A VexRiscv loads the network into the accelerator and reads scores, of images that its DMA streams in: golden's.

    The negative control: a bit of the first image in the processor's memory is another, and so are scores.
    """
    build, litex = tmp_path / "build", EXAMPLES / "litex"
    assert espalier("rtl", digits_file, "--array", "2x2", "--bus", "wishbone", "--out", build).status == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(litex)])}

    def said(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
        return done.returncode, done.stdout + done.stderr

    status, text = said(str(litex / "soc.py"), str(digits_file), str(build))
    assert (status, text.splitlines()[-1]) == (0, "2 images, all scores equal golden's"), text
    rom = build / "litex" / "gateware" / "sim_rom.init"
    images = np.fromfile(build / "litex" / "software" / "firmware" / "images.bin", "<u4")
    words, place = [int(line, 16) for line in rom.read_text().split()], int(np.argmax(images > 0))
    first = next(at for at in range(len(words)) if words[at : at + len(images)] == images.tolist())
    words[first + place] ^= 1 << 3
    rom.write_text("".join(f"{word:08x}\n" for word in words))
    again = "import sys, soc; soc.check(soc.simulated(sys.argv[1]), soc.of_golden(sys.argv[2], 2)[1])"
    status, text = said("-c", again, str(rom.parent), str(digits_file))
    assert (status, text.splitlines()[-1].startswith("image 0: golden has ")) == (1, True), text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own parts
@pytest.mark.parametrize("name", ["accuracy_against_width", "pytorch_to_hardware"])
def test_notebook(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs; the last one of each asserts what must hold, whatever the numbers."""
    for package in ("nbclient", "ipykernel", "pandas", *(["torch", "onnxscript"] if "torch" in name else [])):
        pytest.importorskip(package)
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    assert "assert " in notebook.cells[-1].source
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_kept_as_it_ran(path: Path) -> None:
    """Every cell was run, in order and without an error, so that it can be read; no path of a machine is in it."""
    import json

    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert not any(output.get("name") == "stderr" for output in outputs)
    assert re.search(r"/tmp/|/home/|/root/", path.read_text()) is None

"""The examples run as a user runs them, and say what they are there to say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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

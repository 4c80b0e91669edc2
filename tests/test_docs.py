"""The documentation says what is so: commands print what stands there, options exist, links lead somewhere."""

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from documented import BLOCK, Example, examples, outcome, prepare, rewritten, runs_here

from reports.cli import app
from reports.shared.cache import VARIABLE

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BESIDE = ("README.md", "CONTRIBUTING.md", "rtl/README.md", "reports/studies/README.md")
EVERYWHERE = [*PAGES, *(ROOT / name for name in BESIDE)]
SHOWN = [page for page in PAGES if BLOCK.search(page.read_text())]
KEY_NUMBERS = (
    "452,864",
    "143,408",
    "3.92 KiB",
    "82.00%",
    "2.86% error on 350",
    "140 bits compared, 0 differences",
)
PYTHON = re.compile(r"(?<=^```python\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^]]*\]\(([^):#\s]+)(?:#[^)]*)?\)")


def name_of(page: Path) -> str:
    """Return the path of a page from the root."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.parametrize("page", SHOWN, ids=name_of)
def test_commands_print_what_the_page_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in order in one folder, with the files that the page shows, each command prints what stands below it."""
    monkeypatch.chdir(tmp_path)
    for name in ("torch", "brevitas", "onnxruntime"):
        if f"import {name}" in page.read_text() or f"from {name}" in page.read_text():
            pytest.importorskip(name, reason="the page begins with it")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of PyTorch and its like, which are no faster with more here
    prepare(page)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    for block in BLOCK.findall(page.read_text()):
        for example in examples(block):
            if "--retrain" in example.command and not importlib.util.find_spec("torch"):
                continue  # README's tests run without PyTorch; nothing after it needs this file
            if not runs_here(example.command):
                continue  # the files that it would write lie beside the page
            printed = outcome(example.command)
            assert example.agrees(printed), f"$ {example.command}\n{printed}"


def test_the_tutorial_goes_from_the_network_to_the_hardware() -> None:
    """The numbers that its text speaks of stand in what commands print, and it needs no data."""
    text = "\n".join(BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text()))
    assert [number for number in KEY_NUMBERS if number not in text] == []
    words = [command.split() for command in commands(text)]
    assert {name for _, _, name, *_ in (word for word in words if len(word) > 2)} >= {"digits", "digits.espalier"}
    assert "--data" not in text


PAGE = "Text.\n\n```console\n$ espalier --version\nespalier, version {version}\n```\n"


def test_a_page_that_says_something_else_is_seen() -> None:
    """Negative control: another version, another line, one line too many are no agreement; other speeds are."""
    version = outcome("espalier --version")
    assert Example("espalier --version", version).agrees(version)
    assert not Example("espalier --version", version.replace("0", "9")).agrees(version)
    assert not Example("espalier --version", version + "and more").agrees(version)
    assert Example("x", "error 2% on 350 images, 9,802 images/s").agrees("error 2% on 350 images, 48,326 images/s\n")
    assert not Example("x", "error 2% on 350 images, 9,802 images/s").agrees("error 3% on 350 images, 9,802 images/s\n")
    assert Example("x", "first\n...\nlast").agrees("first\nsecond\nthird\nlast\n")
    assert Example("x", "first\n...").agrees("first\n")
    assert not Example("x", "first\n...\nlast").agrees("first\nsecond\n")


def test_files_of_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python with a title is a file, what lies in the folder beside a page comes along; what is not installed waits."""
    page = tmp_path / "page.md"
    page.write_text('```python title="a.py"\nimport tensorflow\n```\n\n```python\nprint()\n```\n')
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "kept.onnx").write_bytes(b"kept")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    prepare(page)
    assert {x.name: x.read_text() for x in Path().iterdir()} == {"a.py": "import tensorflow\n", "kept.onnx": "kept"}
    there = importlib.util.find_spec("tensorflow") is not None
    assert [runs_here(x) for x in ("python a.py", "python -m tensorflow", "espalier info")] == [there, there, True]


def test_a_page_is_rewritten() -> None:
    """`python tests/documented.py` puts what a command prints now into its block and leaves all else as it is."""
    now = outcome("espalier --version").split()[-1]
    assert rewritten(PAGE.format(version="9.9.9")) == PAGE.format(version=now)


def commands(text: str) -> Iterator[str]:
    """Yield every call of the program in the code of a page."""
    joined = re.sub(r"\\\n\s*", " ", text)
    yield from re.findall(r"^(?:    |\$ )(?:.*&& )?(espalier .*?)(?: +#.*)?$", joined, re.MULTILINE)
    yield from re.findall(r"`(espalier [^`]*)`", joined)


def unknown(command: str) -> list[str]:
    """Return the commands and options in a call that the program does not have."""
    words, found = shlex.split(command)[1:], app
    while words and isinstance(found, click.Group) and not words[0].startswith("-"):
        inner = found.get_command(click.Context(found), words[0])
        if inner is None:
            return [] if words[0].isupper() or words[0] == "..." else [words[0]]
        found, words = inner, words[1:]
    options = {name for parameter in found.params for name in parameter.opts} | {"--help", "-h", "--version"}
    return [word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word) and word not in options]


@pytest.mark.parametrize("page", EVERYWHERE, ids=name_of)
def test_every_command_and_option_exists(page: Path) -> None:
    """Whatever a page tells a reader to type, the program takes."""
    assert {command: wrong for command in commands(page.read_text()) if (wrong := unknown(command))} == {}


def test_a_command_that_does_not_exist_is_seen() -> None:
    """Negative control, and that calls are found in all three places where pages have them."""
    text = "    pip install . && espalier grow\n\n$ espalier size \\\n    --tree x\nSay `espalier data pick`.\n"
    assert [unknown(command) for command in commands(text)] == [["grow"], ["--tree"], ["pick"]]
    assert unknown("espalier size NETWORK --array 8x8") == []


class Cluster:
    """A cluster that is none: what a script of the page does with it must be what clusters of Dask can do."""

    scheduler_address = "tcp://127.0.0.1:8786"

    def __init__(self, **settings: object) -> None:
        self.settings = settings

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None: ...

    def scale(self, *, jobs: int) -> None: ...

    def wait_for_workers(self, n_workers: int) -> None: ...


def started(script: str) -> list[list[str]]:
    """Run a script for a cluster that is none, and return the commands that it starts."""
    commands: list[list[str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "dask_jobqueue", SimpleNamespace(SLURMCluster=Cluster))
        patch.setitem(sys.modules, "dask_kubernetes.operator", SimpleNamespace(KubeCluster=Cluster))
        patch.setitem(sys.modules, "dask_kubernetes", SimpleNamespace(operator=None))
        patch.setattr("subprocess.run", lambda words, **_: commands.append(words))
        exec(compile(script, "page", "exec"), {})
    return commands


def test_scripts_for_clusters() -> None:
    """Those of SLURM and of Kubernetes start one command each, of which every option exists, on their own cluster."""
    scripts = PYTHON.findall((ROOT / "docs" / "howto" / "cluster.md").read_text())
    assert ["SLURMCluster" in script for script in scripts] == [True, False]
    for script in scripts:
        (words,) = started(script)
        assert unknown(shlex.join(words)) == []
        assert words[words.index("--backend") + 1] == "dask"
        assert words[words.index("--scheduler") + 1].endswith(":8786")
        (wrong,) = started(script.replace('"--backend"', '"--back"'))  # negative control
        assert unknown(shlex.join(wrong)) == ["--back"]


def dead(page: Path) -> list[str]:
    """Return the links of a page of the repository to files that are not there."""
    return [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", [page for page in EVERYWHERE if page not in PAGES], ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    """A link that is read in the repository leads to a file of it; `mkdocs build --strict` sees to the site's."""
    assert dead(page) == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    """Negative control: a file that is not there is named, one that is, and an address, are not."""
    page = tmp_path / "page.md"
    page.write_text("[here](page.md#part) [there](https://example.org/x) [nowhere](none.md)")
    assert dead(page) == ["none.md"]


def test_readme_is_short() -> None:
    """README is what one reads before anything else; what one looks up is in docs/."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100

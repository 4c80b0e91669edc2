"""report.html in a real browser, without a network: a reader chooses, and the tables are those of the results."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.commandline import made_point, made_results
from test_reports_report_page import Document

from reports.report import measure
from reports.report.designs import Design
from reports.report.figures import render
from reports.report.layer_tables import Table, summary_of, tables_of, title_of
from reports.report.page import page
from reports.report.results import Results

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="needs Debian's package chromium")]

WITHOUT_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND"
FORBIDDEN = """<meta http-equiv="Content-Security-Policy" content="script-src 'none'">"""
CHANGE = """<script>
const select = document.getElementById("{name}");
select.value = "{value}";
select.dispatchEvent(new Event("change"));
</script></body>"""


def opened(path: Path, fragment: str = "") -> str:
    """Return the page as it stands once its program has run."""
    words = ["--headless", "--no-sandbox", "--disable-gpu", WITHOUT_NETWORK, f"--user-data-dir={path.parent}/browser"]
    words += ["--virtual-time-budget=2000", "--dump-dom", f"{path.as_uri()}{fragment}"]
    done = subprocess.run([str(BROWSER), *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("</html>")
    return done.stdout


def texts_of(tables: Sequence[Table]) -> list[list[list[str]]]:
    """Return the cells of tables, their headings first."""
    return [
        [[head.text for head in table.heads], *([cell.text for cell in row] for row in table.rows)] for table in tables
    ]


def bars_of(tables: Sequence[Table]) -> list[float]:
    """Return the widths of all parts of all bars, in %."""
    return [float(share) for table in tables for row in table.rows for cell in row if cell.bar for share, _ in cell.bar]


def shown(dom: str) -> tuple[list[list[list[str]]], list[float], str, str]:
    """Return what a reader sees of a design: tables, widths of bars, its title and summary, its verdict."""
    chosen = re.search(r'<p id="chosen">(.*?)</p>', dom, re.DOTALL)
    verdict = re.search(r'<p id="verdict"[^>]*>(.*?)</p>', dom, re.DOTALL)
    assert chosen
    assert verdict
    places = [re.search(f'<table id="{name}">', dom) for name in ("layer-memory", "layer-cycles", "blocks")]
    tables = [
        Document(dom[place.start() : dom.index("</table>", place.start()) + 8]).tables[0] for place in places if place
    ]
    bars = [float(width) for width in re.findall(r'<i style="width: ?([0-9.]+)%', dom)]
    return tables, bars, re.sub(r"<[^>]*>", "", chosen[1]), verdict[1]


def wanted(results: Results, design: Design | None) -> tuple[list[list[list[str]]], list[float], str, str]:
    """Return what a reader should see of a design."""
    assert design
    tables, words = tables_of(results, design), f"{title_of(design)}: {summary_of(results, design)}"
    return texts_of(tables), bars_of(tables), words, design.verdict


@pytest.fixture(scope="module")
def results() -> Results:
    """Return what was really measured of digits: three patterns at two widths, of few images."""
    return measure.measure(measure.plan("digits", (3, 5), ["kernel", "kernel+ikss"], None, images=40))


@pytest.fixture(scope="module")
def path(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of its page."""
    path = tmp_path_factory.mktemp("browser") / "report.html"
    path.write_bytes(page(results, render(results)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fragment", "key"),
    [
        ("#pattern=kernel&weight_bits=5&signal_bits=5", ("kernel", 5, 5)),
        ("#pattern=kernel&weight_bits=3", ("kernel", 3, 3)),  # signals as the weights, if nothing is said of them
        ("#pattern=dense&weight_bits=5&signal_bits=3", ("dense", 5, 3)),
        ("#weight_bits=3&pattern=kernel%2Bikss&signal_bits=5", ("kernel+ikss", 3, 5)),
        ("#pattern=kernel+ikss&weight_bits=5", ("kernel+ikss", 5, 5)),  # as somebody types it
    ],
)
def test_a_choice(results: Results, path: Path, fragment: str, key: tuple[str, int, int]) -> None:
    """Tables, bars, summary and verdict of the choice are those of the results, cell for cell."""
    found = shown(opened(path, fragment))
    assert found == wanted(results, results.design(*key))
    others = [design for design in results.designs if design.key != key]
    assert all(found != wanted(results, design) for design in others)  # negative control
    assert len(others) > 10


@pytest.mark.slow
@pytest.mark.parametrize("fragment", ["", "#", "#pattern=nope&weight_bits=4", "#weight_bits=<script>", "#%%%"])
def test_nothing_chosen(results: Results, path: Path, fragment: str) -> None:
    """Without a choice, or with one that is none, the page shows what is recommended: what its own text shows."""
    dom = opened(path, fragment)
    best = results.recommended
    pattern, width = (best.pattern, best.weight_bits) if best else (results.patterns[0], 5)
    assert shown(dom) == wanted(results, results.design(pattern, width, width)) == shown(path.read_text())
    assert '<p class="choices" id="choices">' in dom


@pytest.mark.parametrize(
    ("name", "value", "key"), [("pattern", "dense", 0), ("weight_bits", "3", 1), ("signal_bits", "3", 2)]
)
def test_a_hand_on_a_list(results: Results, path: Path, tmp_path: Path, name: str, value: str, key: int) -> None:
    """Choosing from a list shows the design at once; what was not touched stays."""
    other = tmp_path / "report.html"
    other.write_text(path.read_text().replace("</body>", CHANGE.format(name=name, value=value)))
    start: list[str | int] = ["kernel", 5, 5]
    dom = opened(other, "#pattern=kernel&weight_bits=5&signal_bits=5")
    start[key] = value if name == "pattern" else int(value)
    assert shown(dom) == wanted(results, results.design(*start))  # type: ignore[arg-type]
    assert shown(dom) != wanted(results, results.design("kernel", 5, 5))  # negative control


def test_without_a_program(results: Results, path: Path, tmp_path: Path) -> None:
    """A browser that may run no program shows the recommended point, and no lists that would do nothing."""
    other = tmp_path / "report.html"
    other.write_text(path.read_text().replace("<head>", f"<head>{FORBIDDEN}"))
    dom = opened(other, "#pattern=dense&weight_bits=3")
    assert shown(dom) == shown(path.read_text()) != wanted(results, results.design("dense", 3, 3))
    assert '<p class="choices" id="choices" hidden="">' in dom


@pytest.mark.slow
def test_halves_are_rounded_alike(tmp_path: Path) -> None:
    """Numbers that lie in the middle are rounded the same way by the page and by its program; hostile names too."""
    name = '"><script>alert(1)</script>&amp;'
    results = made_results(made_point(name, bits=4, error_rate=0.03125), made_point(name, bits=8, error_rate=0.00125))
    path = tmp_path / "report.html"
    path.write_bytes(page(results, render(results)))
    dom = opened(path)
    expected = wanted(results, results.design(name, 8, 8))
    assert shown(dom)[:2] == expected[:2] == shown(path.read_text())[:2]
    assert "0.13 % error" in dom
    assert dom.count("<script") == 5


def test_it_prints(path: Path, tmp_path: Path) -> None:
    """The browser prints it to a few pages of PDF."""
    opened(path)
    file = tmp_path / "report.pdf"
    words = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/browser",
        f"--print-to-pdf={file}",
    ]
    subprocess.run([str(BROWSER), *words, path.as_uri()], capture_output=True, check=True, timeout=120)
    pages = len(re.findall(rb"/Type\s*/Page\b", file.read_bytes()))
    assert 3 <= pages <= 15

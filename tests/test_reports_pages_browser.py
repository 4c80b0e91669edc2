"""The pages of `report`, `explore` and `compare` in a browser without a network, on a desk and as narrow as a phone."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.commandline import made_results
from support.explorations import results as explored
from support.shared_arrays import shared

from reports.compare.comparison import Comparison
from reports.compare.figures import render as render_compared
from reports.compare.page import page as compared_page
from reports.explore.figures import render as render_explored
from reports.explore.page import page as explored_page
from reports.report.figures import render as render_report
from reports.report.page import page as report_page
from reports.together.figures import render as render_shared
from reports.together.page import page as shared_page

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="needs Debian's package chromium")]

DESK, PHONE = 1400, 390
FRAME = """<!doctype html><body><iframe src="page.html" style="border: 0; width: {width}px; height: 4000px"></iframe>
<script>addEventListener("message", (event) => {{
  const told = document.body.appendChild(document.createElement("pre"));
  [told.id, told.textContent] = ["told", event.data];
}});</script></body>"""  # Chromium has no window as narrow as a phone
LISTEN = """<script>
const faults = [];
addEventListener("error", (event) => faults.push(event.message));
for (const name of ["error", "warn"]) console[name] = (...words) => faults.push(words.join(" "));
let saved = null;
URL.createObjectURL = (blob) => { saved = blob; return "#"; };
</script></head>"""
TELL = """<script>
setTimeout(async () => {
  const $ = (name) => document.getElementById(name);
  const small = [], texts = (element) => [...element.childNodes].some((x) => x.nodeType === 3 && x.data.trim());
  for (const element of document.querySelectorAll("body *")) {
    if (!texts(element) || !element.getClientRects().length || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    const matrix = element.getScreenCTM?.();
    const size = parseFloat(getComputedStyle(element).fontSize) * (matrix ? Math.hypot(matrix.a, matrix.b) : 1);
    if (size < 10.95) small.push(`${element.tagName} ${element.textContent.trim().slice(0, 30)} ${size}`);
  }
  const count = () => $("points-count").textContent, row = () => $("points-row").innerText;
  const first = JSON.parse($("points-data").textContent).columns.findIndex((column) => column.digits !== null);
  const heads = () => [...$("points-table").tHead.rows[0].cells];
  const found = { small, width: innerWidth, content: document.documentElement.scrollWidth, all: count(), kept: row() };
  $("points-table").tBodies[0].rows[1].click();
  Object.assign(found, { clicked: row(), command: $("points-command").textContent });
  $("points-plot").emit("plotly_click", { points: [{ customdata: 0 }] });
  found.pointed = row();
  $("points-filter").value = "WORD";
  $("points-filter").dispatchEvent(new Event("input"));
  found.filtered = count();
  heads()[first].firstChild.click();
  heads()[first].firstChild.click();
  found.sorted = [...$("points-table").tBodies[0].rows].map((line) => Number(line.cells[first].textContent));
  found.order = heads()[first].getAttribute("aria-sort");
  $("points-csv").click();
  found.csv = await saved.text();
  found.faults = faults;
  parent.postMessage(JSON.stringify(found), "*");
}, 500);
</script></body>"""


def told(page: bytes, width: int, folder: Path, word: str) -> dict[str, Any]:
    """Return what a reader meets on a page so wide: sizes, faults, and what clicks do."""
    text = page.decode().replace("</head>", LISTEN, 1)
    head, _, tail = text.rpartition("</body>")
    (folder / "page.html").write_text(head + TELL.replace("WORD", word) + tail)
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width))
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    words += [f"--user-data-dir={folder}/browser", "--window-size=1500,4100", "--virtual-time-budget=5000"]
    words += ["--dump-dom", frame.as_uri()]
    done = subprocess.run([str(BROWSER), *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    before, found, after = done.stdout.rpartition('<pre id="told">')
    assert found, before[-2000:]
    told: dict[str, Any] = json.loads(after[: after.index("</pre>")].replace("&lt;", "<").replace("&amp;", "&"))
    return told


def pages() -> dict[str, bytes]:
    """Return all pages."""
    report, exploration = made_results(), explored()
    compared = Comparison(("one", "another"), (exploration, explored(goal="fast")))
    return {
        "report": report_page(report, render_report(report)),
        "explore": explored_page(exploration, render_explored(exploration)),
        "compare": compared_page(compared, render_compared(compared)),
        "together": shared_page(shared(), render_shared(shared())),
    }


@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.parametrize("name", ["report", "explore", "compare", "together"])
def test_a_reader(name: str, width: int, tmp_path: Path) -> None:
    """No fault, nothing too small to read, nothing beside the page; a click tells a design and what builds it."""
    page = pages()[name]
    assert len(page) < 6_000_000
    found = told(page, width, tmp_path, word="kernel")
    assert found["faults"] == []
    assert found["width"] == width
    assert found["content"] <= found["width"]
    assert found["small"] == []
    rows = found["csv"].splitlines()
    assert found["all"].endswith(" designs")
    assert 0 < len(rows) - 1 < int(found["all"].split()[0])  # some are left by the word that filters
    assert found["filtered"].startswith(f"{len(rows) - 1} of ")
    assert all("kernel" in row for row in rows[1:])
    assert (found["sorted"], found["order"]) == (sorted(found["sorted"], reverse=True), "descending")
    assert found["clicked"] not in (found["pointed"], "")
    quantize, verify = found["command"].splitlines()[-2:]
    assert quantize.startswith("espalier quantize ")
    programs = "one.espalier two.espalier" if name == "together" else "design.espalier"
    assert verify.startswith(f"espalier verify {programs} --array ")
    assert "{" not in found["command"]


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    """Negative control: a fault, small letters and a line that is too wide are told."""
    wrong = '<p style="font-size:9px; width:3000px">small and wide</p><script>console.error("a fault")</script><section'
    found = told(pages()["report"].replace(b"<section", wrong.encode(), 1), DESK, tmp_path, word="kernel")
    assert found["faults"] == ["a fault"]
    assert found["content"] > found["width"]
    assert [text.split(" ")[1:4] for text in found["small"]] == [["small", "and", "wide"]]

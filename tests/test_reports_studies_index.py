"""The page over all studies: it is what the studies' own results say now, and none is left out."""

import re
import shutil
from pathlib import Path

import pytest

from accel.errors import EspalierError
from reports.studies.index import ENTRIES, FOLDER, PAGE, Entry, index

DAY = re.compile(r"\d{4}-\d\d-\d\d")
NUMBER = re.compile(r"\d[\d,.]*\d|\d")
OWN_TABLES = "lenet5", "pruning", "bitwidth", "explore"  # whose numbers are rounded otherwise on their pages, or drawn


def undated(text: str) -> str:
    """Return a page without its days."""
    return DAY.sub("", text)


def test_the_page_is_what_the_results_say() -> None:
    """`python -m reports.studies.index` would write the page that is there; days are Git's, and each is one."""
    text = (FOLDER / PAGE).read_text()
    made = index(lambda _: "")
    assert undated(text) == made
    rows = [line for line in text.splitlines() if line.startswith(("| [", "**"))]
    assert len(rows) == len(DAY.findall(text)) > len(ENTRIES)


def test_every_study_is_there() -> None:
    """Each folder that has a page is linked, by a link that leads there."""
    links = set(re.findall(r"\]\(([^)]*)\)", (FOLDER / PAGE).read_text()))
    assert links == {str(path.relative_to(FOLDER)) for path in FOLDER.rglob(PAGE)} - {PAGE}


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.folder not in OWN_TABLES], ids=lambda x: x.folder
)
def test_numbers_are_those_of_the_study(entry: Entry) -> None:
    """Every number of a headline stands on the page of the study itself, which another program wrote."""
    pages = list((FOLDER / entry.folder).rglob(PAGE))
    assert pages
    for page in pages:
        numbers, text = NUMBER.findall(entry.headline(page.parent)), page.read_text()
        assert numbers
        assert [number for number in numbers if number not in text] == []


def test_a_study_without_an_entry(tmp_path: Path) -> None:
    """A folder that nobody wrote an entry for is refused, and so is an entry whose folder is gone."""
    entries = tuple(entry for entry in ENTRIES if entry.folder in ("published", "mutation"))
    for entry in entries:
        shutil.copytree(FOLDER / entry.folder, tmp_path / entry.folder)
    assert "4 of 4 cycle counts" in index(lambda _: "2026-01-01", tmp_path, entries)
    (tmp_path / "new" / "one").mkdir(parents=True)
    (tmp_path / "new" / "one" / PAGE).write_text("# New\n\n    espalier info\n")
    with pytest.raises(EspalierError, match=r"new/one: has no entry in ENTRIES"):
        index(lambda _: "", tmp_path, entries)
    shutil.rmtree(tmp_path / "new")
    shutil.rmtree(tmp_path / "mutation")
    with pytest.raises(EspalierError, match=r"mutation: has no README.md, and an entry"):
        index(lambda _: "", tmp_path, entries)


def test_a_number_that_changed(tmp_path: Path) -> None:
    """Negative control: other results are another page, and results that were changed by hand are refused."""
    entries = tuple(entry for entry in ENTRIES if entry.folder in ("mutation", "features"))
    for entry in entries:
        shutil.copytree(FOLDER / entry.folder, tmp_path / entry.folder)
    before = index(lambda _: "", tmp_path, entries)
    path = tmp_path / "mutation" / "mutation.json"
    path.write_text(path.read_text().replace('"score": 0.9', '"score": 0.8', 1))
    assert index(lambda _: "", tmp_path, entries) != before
    path = tmp_path / "features" / "results.json"
    path.write_text(path.read_text().replace('"lut": 12402', '"lut": 1', 1))
    with pytest.raises(EspalierError, match=r"features/results.json: "):
        index(lambda _: "", tmp_path, entries)

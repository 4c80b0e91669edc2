import re
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.commandline import made_point, made_results

from reports.report.figures import FIGURES, render
from reports.report.page import page
from reports.report.results import Results
from reports.shared.browsing import plotly

REPORTS = Path(__file__).parents[1] / "reports"
SCRIPT = (REPORTS / "report" / "page.js").read_text() + (REPORTS / "shared" / "points.js").read_text()
VOID = {"meta", "link", "br", "hr", "img", "input", "base", "col", "source", "embed", "area", "wbr", "track"}
FETCHING = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "formaction", "background", "ping"}
HOSTILE = '"><script>alert(1)</script><img src=http://evil.example/x onerror="x">'


class Document(HTMLParser):
    """A page, read tag by tag: whether every tag is closed in order, its attributes, its texts and its tables."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.answer: dict[str, list[list[str]]] = {}  # what is asked and what comes next; and one that a program fills
        self.feed(html)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.open]
        self.tables = [table for table in self.tables if all(table is not other for other in self.answer.values())]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag; one that is void is closed already."""
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "table":
            self.tables.append([])
            if (name := dict(attrs).get("id")) in ("asked", "next", "points-table"):
                self.answer[name] = self.tables[-1]
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself, as SVG has them."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the last tag, which must be this one."""
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        """Note a text, and add it to the cell that it stands in."""
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data.strip()


def external(html: str) -> list[str]:
    """Return whatever a browser would fetch from outside the page."""
    found = [value for _, name, value in Document(html).attributes if name in FETCHING and not value.startswith("#")]
    found += [url for url in re.findall(r"url\(\s*[\"']?([^)\"']*)", html) if not url.startswith("#")]
    return found + re.findall(r"@import[^;]*", html)


def clashes(html: str) -> list[str]:
    """Return the ids that are referred to and are missing, or that stand for different things in different places."""
    meanings = defaultdict(set)
    referred = set()
    for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        for element in ElementTree.fromstring(svg).iter():
            text = ElementTree.tostring(element, encoding="unicode").strip()
            if "id" in element.attrib:
                meanings[element.attrib["id"]].add(text)
            for value in element.attrib.values():
                referred.update(re.findall(r"url\(#([^)]*)\)", value))
            referred.update(value[1:] for name, value in element.attrib.items() if name.endswith("href"))
    assert referred
    return sorted(name for name in referred if len(meanings[name]) != 1)


def made(results: Results) -> str:
    """Return the page of `results`, without the library that draws what a reader points at: it is somebody else's."""
    return page(results, render(results)).decode().replace(plotly(), "")


@pytest.fixture(scope="module")
def html() -> str:
    """Return the page of results made up by hand."""
    return made(made_results())


@pytest.fixture(scope="module")
def hostile() -> str:
    """Return the page of a network and patterns whose names try to break out."""
    points = made_point("dense"), made_point(HOSTILE)
    return made(made_results(*points, network=HOSTILE, data=HOSTILE))


class TestStructure:
    @pytest.mark.slow
    def test_well_formed(self, html: str, hostile: str) -> None:
        """Every tag is closed, in order."""
        for text in (html, hostile):
            assert text.startswith("<!doctype html>")
            assert Document(text).faults == []

    @pytest.mark.parametrize(("old", "new"), [("</table>", ""), ("</h2>", "</h3>"), ("<tbody>", ""), ("</html>", "")])
    def test_well_formed_sees_faults(self, html: str, old: str, new: str) -> None:
        """Negative control: a tag that is missing or another is seen."""
        assert old in html
        assert Document(html.replace(old, new, 1)).faults

    def test_figures(self, html: str) -> None:
        """Every figure stands in the page itself, without its XML prologue."""
        assert html.count("<svg") == html.count("</svg>") == html.count("<figure") == len(FIGURES) == 8
        assert "<?xml" not in html
        assert html.lower().count("<!doctype") == 1

    def test_ids_do_not_clash(self, html: str, hostile: str) -> None:
        """What a figure refers to by id is there, and no other figure means something else by the same id."""
        assert clashes(html) == []
        assert clashes(hostile) == []

    def test_ids_do_not_clash_sees_faults(self, html: str) -> None:
        """Negative control: an id that is missing, or that another figure defines differently, is seen."""
        name = re.search(r'<clipPath id="([^"]*)"', html)
        assert name
        assert clashes(html.replace(f'id="{name[1]}"', 'id="other"')) == [name[1]]
        end = html.rindex("</svg>")
        assert clashes(f'{html[:end]}<clipPath id="{name[1]}"/>{html[end:]}') == [name[1]]


class TestNoNetwork:
    def test_nothing_is_fetched(self, html: str, hostile: str) -> None:
        """The page needs no network: it refers to nothing outside itself, and its programs ask for nothing."""
        for text in (html, hostile):
            assert external(text) == []
            assert not Document(text).tags & {"link", "iframe", "object", "embed", "img", "base", "form"}
            assert text.count("<script") == text.count("</script>") == 5  # two of numbers, three programs
        for word in ("fetch", "XMLHttpRequest", "import(", "WebSocket", "innerHTML", "eval", "document.write"):
            assert word not in SCRIPT
            assert word in SCRIPT + word  # negative control

    @pytest.mark.parametrize(
        "reference",
        [
            '<img src="http://a.example/b.png">',
            '<img src="b.png">',
            '<link rel="stylesheet" href="//a.example/b.css">',
            "<style>p { background: url(https://a.example/b.png) }</style>",
            "<style>p { background: url( 'b.png' ) }</style>",
            '<style>@import "https://a.example/b.css";</style>',
            '<svg><use xlink:href="http://a.example/b.svg#c"/></svg>',
        ],
    )
    def test_nothing_is_fetched_sees_references(self, html: str, reference: str) -> None:
        """Negative control: each way to fetch something is seen."""
        assert len(external(html.replace("</body>", f"{reference}</body>"))) == 1

    def test_addresses_are_names_only(self, html: str) -> None:
        """Addresses stand only where SVG needs them as names, in its namespaces and metadata."""
        holders = {name for _, name, value in Document(html).attributes if "://" in value}
        assert {name for name in holders if not name.startswith("xmlns")} <= {"rdf:resource"}
        assert [text for text in Document(html).texts if "://" in text and "matplotlib" not in text] == []


class TestNumbers:
    def test_error_rates(self, html: str) -> None:
        """The first table holds each pattern's sparsity, float error rate and error rate at each width, in %."""
        # error rates of 8 % x share / bits with shares of 1, 1/2 and 1/4
        assert Document(html).tables[0] == [
            ["error rate in %", "sparsity", "float", "4 bit", "8 bit"],
            ["dense", "0.0 %", "2.15", "2.00", "1.00"],
            ["kernel+ikss", "33.3 %", "2.15", "1.00", "0.50"],
            ["2:4", "33.3 %", "2.15", "0.50", "0.25"],
        ]

    def test_memory(self, html: str) -> None:
        """The third holds the memory of each point in KiB, and what the parameters save at the narrowest width."""
        # 344 bits of index, biases and constants, (2,400 x share + 3,001) x bits of weights and signals; KiB = 8,192 b
        # 32 x 1,800 = 57,600 bits over the parameters: 9,944, 5,144 and 2,744 at 4 bits
        assert Document(html).tables[2] == [
            ["memory in KiB", "4 bit", "8 bit", "dense 32-bit weights / smallest parameters"],
            ["dense", "2.68", "5.32", "5.8 x"],
            ["kernel+ikss", "2.09", "4.14", "11.2 x"],
            ["2:4", "1.80", "3.56", "21.0 x"],
        ]

    def test_layers(self, html: str) -> None:
        """Each pattern has a table of its layers at the recommended width, and of their sum."""
        tables = Document(html).tables[7:]
        assert len(tables) == 3
        row = ["flags", "600", "66.7 %", "22,500", "1,200", "70", "80", "22", "17"]
        # the recommended pattern comes first
        assert tables[0][1:3] == [["conv1", "2:4", *row], ["fc2", "2:4", *row]]
        assert tables[0][3] == ["all", "", "", "1,200", "66.7 %", "45,000", "2,400", "140", "160", "44", ""]
        assert [table[1][1] for table in tables] == ["2:4", "dense", "kernel+ikss"]

    def test_the_design_that_is_shown(self, html: str) -> None:
        """The recommended one: where memory goes, where cycles go, which blocks; with a verdict above."""
        memory, cycles, blocks = Document(html).tables[3:6]
        # `made_design("2:4", 4, 4)`: 600 weights of 900 at 4 bits, an index of 70 bits
        assert memory[1] == [
            *("conv1", "2:4", "flags", "600", "66.7 %", "2,400", "70", "80", "22", "17", "90", "8,004", "900", ""),
        ]
        assert memory[2] == ["pool", *[""] * 9, "60", "4,400", "400", ""]
        assert memory[4][:7] == ["all", "", "", "1,200", "66.7 %", "4,800", "140"]
        assert memory[4][10:13] == ["235", "8,004", "1,600"]  # sums, and between them the most at a time
        # 45,000 MACs of two layers
        assert cycles[1] == [
            "conv1",
            "mac",
            "22,500",
            "70,000",
            "2,900",
            "60",
            "33",
            "0",
            "2,993",
            "38.8 %",  # 1,160 of 2,900 steps are useful, of 2,993 cycles
            "0",
            *("30.00", ""),
        ]
        assert cycles[4][:9] == ["all", "", "45,000", "", "3,320", "70", "66", "0", "3,456"]
        assert cycles[4][10:12] == ["6,272", "40.00"]
        assert blocks[1:] == [
            ["weights", "300 x 32 bit", "3 BLOCK", "3.00", "0.59", "80.5 %"],
            ["signals", "16 x 64 x 8 bit", "16 BLOCK", "16.00", "0.98", "93.9 %"],
            ["all", "", "", "19.00", "1.56", "91.8 %"],
        ]
        assert "fits: 19.0 KiB of memory blocks, weights resident, 4 and 4 bits" in html
        title = "<strong>2:4, 4-bit weights, 4-bit signals</strong>: 1.88 KiB of parameters and signals, 0.50 % error"
        assert title in html

    def test_break_even(self, html: str) -> None:
        """A row for each encoding, with the density below which it pays at each width; 0 is never."""
        assert Document(html).tables[6] == [
            ["break-even density", "layer", "encoding", "kept", "2 bit", "8 bit"],
            ["2:4", "fc2, 30 x 30 x 1", "bitmap", "66.7 %", "50.0 %", "87.5 %"],
            ["", "", "csr", "", "never", "25.0 %"],
        ]

    @pytest.mark.slow
    def test_without_designs(self) -> None:
        """A network that the array does not run has no such tables and no program; the page says why."""
        text = made(made_results(designs=(), not_on_array="clip1: the array runs no ClipLayer yet"))
        assert "No cycles and no memory blocks: clip1: the array runs no ClipLayer yet." in text
        assert text.count("<script") == 3  # those of the designs to point at
        assert Document(text).faults == []
        assert len(Document(text).tables) == 3 + 1 + 3

    def test_the_answer(self, html: str) -> None:
        """What to build stands in words at the top, and its cells are marked in both tables."""
        answer = (
            "Least memory within 1% of the dense float network (1.25% error on 250 validation images): "
            "2:4 at 4 bits, 19.00 KiB of memory blocks, 3,456 cycles, 40.0 nJ (estimated), 45,000 MACs an "
            "image; 0.50% error on validation images, by which it was chosen, and 0.50% on 400 test images "
            "(dense float network: 1.25%)."
        )
        assert any(answer in text for text in Document(html).texts)
        assert Document(html).answer["asked"][:3] == [
            ["", "asked", "got", "slack", "binds"],
            ["errors", "at most 2.25 %", "0.50 %", "1.75 %", ""],  # 1.25 % +1%, no guard band
            ["memory KiB", "-", "19.00", "", ""],
        ]
        assert Document(html).answer["next"] == [
            ["next best", "design", "errors", "KiB", "cycles", "breaks"],
            ["fewer errors", "2:4 8 bit", "-0.25 %", "+4.00", "+0", ""],
        ]
        assert re.findall(r'<td class="best">([^<]*)</td>', html) == ["0.50", "0.50 %", "1.80"]

    def test_the_front(self, html: str) -> None:
        """Points that no other beats in all that decides, the recommended one among them."""
        table = Document(html).tables[1]
        assert table[0][2:] == ["error, validation", "error, test", "memory KiB", "cycles", "nJ (est.)"]
        # at 8 bits 2:4 errs least of all and takes more memory; whatever else there is, one of the two beats
        assert table[1:] == [
            ["2:4", "8", "0.25 %", "0.25 %", "23.00", "3,456", "40.0"],
            ["2:4", "4", "0.50 %", "0.50 %", "19.00", "3,456", "40.0"],
        ]

    @pytest.mark.slow
    def test_the_clock(self) -> None:
        """Above the highest clock that is known the answer warns; up to it there is nothing to say."""
        assert "A clock of" not in made(made_results())
        assert "Warning: a clock of 130 MHz; in this technology" in made(made_results(clock_hz=130e6))
        assert "is not known." in made(made_results(highest_clock_hz=None))

    @pytest.mark.slow
    def test_no_answer(self) -> None:
        """Where no point stays within the tolerance, that is said, no cell is marked, and the widest are shown."""
        results = made_results(*(made_point(bits=bits, error_rate=0.9) for bits in (4, 8)))
        text = made(results)
        assert "Nothing fits: no point stays within 1% of the dense float network" in text
        assert "Nearest: dense at 4 bits, which takes 90.00% error where at most 2.25% is allowed." in text
        assert 'class="best"' not in text
        assert "dense, 8 bits" in text

    @pytest.mark.slow
    def test_how_it_was_measured(self, html: str) -> None:
        """The page says on how many images, and whether pruned versions were retrained."""
        words = " ".join(html.split())
        assert "on 400 test images" in words
        assert "from 512 training images" in words
        assert "Pruned versions were retrained in float" in words
        other = " ".join(made(made_results(made_point(), retrained=False, test_images=12_345)).split())
        assert "on 12,345 test images" in other
        assert "Pruned by magnitude here and not retrained." in other
        assert "Pruned versions were retrained" not in other


class TestHostileNames:
    def test_escaped(self, hostile: str) -> None:
        """A name is shown as it is written, and is never markup: no tag and no attribute comes of it."""
        document = Document(hostile)
        assert "img" not in document.tags
        assert hostile.count("<script") == 5
        assert not [name for _, name, _ in document.attributes if name.startswith("on")]
        assert document.tables[0][2][0] == HOSTILE
        assert any(text == HOSTILE for text in document.texts)

    def test_escaped_sees_tags(self, hostile: str) -> None:
        """Negative control: without escaping, the tags are there."""
        document = Document(hostile.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"'))
        assert "img" in document.tags

    @pytest.mark.slow
    def test_reason_of_an_encoding(self) -> None:
        """Nor of what stands in an attribute."""
        layers = tuple(
            type(layer)(**{**vars(layer), "encoding_reason": '" onclick="alert(1)'}) for layer in made_point().layers
        )
        document = Document(made(made_results(made_point(layers=layers))))
        assert ("td", "title", '" onclick="alert(1)') in document.attributes
        assert not [name for _, name, _ in document.attributes if name == "onclick"]

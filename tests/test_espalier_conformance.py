import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel import plugins
from accel.encoding import encodings
from accel.errors import EspalierError
from accel.prune import SELECTORS, Space, select_by_magnitude, selector, selector_names
from accel.pruned import PrunedNetwork
from accel.sparsity import parse_pattern
from espalier.conformance import ConformanceError, check_pattern, check_selector, pattern_claims
from espalier.conformance.pattern_claims import PatternCase
from espalier.conformance.tiny_network import tiny_network

ROOT = Path(__file__).parents[1]
OUTSIDE = ROOT / "examples" / "outside"


def register(folder: Path, name: str, points: Mapping[str, Mapping[str, str]]) -> None:
    """Make `folder`, once it is on the path, hold a package of that name with these entry points."""
    info = folder / f"{name}-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")
    groups = [[f"[{group}]", *(f"{key} = {value}" for key, value in of.items())] for group, of in points.items()]
    (info / "entry_points.txt").write_text("\n".join(line for group in groups for line in [*group, ""]))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package as pip installs it, in a folder of its own."""
    target = tmp_path_factory.mktemp("site")
    source = target / "source"
    for path in OUTSIDE.rglob("*"):
        if path.suffix in (".py", ".toml"):
            copy = source / path.relative_to(OUTSIDE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", target / "packages", source], check=True, capture_output=True)
    return target / "packages"


@pytest.fixture
def outside(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Both packages on the path: the example, and one that brings nothing but what is broken."""
    monkeypatch.syspath_prepend(installed)
    from support import broken_outside as broken

    selectors = {of.name: f"support.broken_outside:{of.__name__}" for of in (*broken.SELECTORS, broken.Loose)}
    register(
        tmp_path / "site",
        "broken",
        {plugins.PATTERNS: {"broken": "support.broken_outside:parse"}, plugins.SELECTORS: selectors},
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    plugins.forget()
    yield tmp_path
    plugins.forget()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder on the path, for packages that `register` makes."""
    monkeypatch.syspath_prepend(tmp_path)
    plugins.forget()
    yield tmp_path
    plugins.forget()


class TestOutside:
    @pytest.mark.slow
    @pytest.mark.usefixtures("outside")
    def test_the_example_conforms(self) -> None:
        """A pattern and a selector of a package that pip installed keep to every claim."""
        check_pattern("column-2")
        check_selector("noisy-magnitude")

    @pytest.mark.slow
    @pytest.mark.usefixtures("outside")
    def test_units_or_a_locus_are_enough(self) -> None:
        """A pattern that names its units is stored by a flag for each; one that has a locus brings an encoding too."""
        assert [encoding.name for encoding in encodings(parse_pattern("Plain"))] == ["unit flags"]
        check_pattern("Plain")
        check_pattern("OwnLocus")

    @pytest.mark.usefixtures("outside")
    def test_it_is_known_by_name(self) -> None:
        """Beside our own, which come first; another number gives another pattern, another form none."""
        assert str(parse_pattern("column-4")) == "column-4" != str(parse_pattern("column-3"))
        assert selector_names()[: len(SELECTORS)] == (*SELECTORS,)
        assert selector("noisy-magnitude").name == "noisy-magnitude"
        for name in ("column-", "column-0", "column-x"):
            with pytest.raises(EspalierError, match=rf"^unknown pattern '{name}': expected one of dense, .*column-G"):
                parse_pattern(name)

    @pytest.mark.slow
    def test_the_command_line_knows_it(self, installed: Path, tmp_path: Path) -> None:
        """`espalier prune` takes both, and the file is read where the package is; elsewhere a line says what is not."""

        def espalier(*words: str, path: str = "") -> subprocess.CompletedProcess[str]:
            environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), path])}
            command = [sys.executable, "-m", "espalier", *words]
            return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

        asked = ["--pattern", "column-4", "--ratio", "0.5", "--select", "noisy-magnitude", "--seed", "1"]
        done = espalier("prune", "digits", *asked, "--data", "digits", "-o", "out.espalier", path=str(installed))
        assert done.returncode == 0, done.stderr
        words = ["--weight-bits", "4", "--signal-bits", "5", "-o", "program.espalier"]
        assert espalier("quantize", "out.espalier", *words, path=str(installed)).returncode == 0
        assert "column-4" in espalier("size", "program.espalier", path=str(installed)).stdout
        refused = espalier("prune", "digits", *asked, "-o", "other.espalier")
        assert refused.returncode == 2
        assert refused.stderr.count("\n") == 1
        assert "'noisy-magnitude'" in refused.stderr

    @pytest.mark.usefixtures("outside")
    def test_a_file_needs_the_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A network of a pattern that no installed package has is refused in one line that names the pattern."""
        network = tiny_network(0)
        pruned = PrunedNetwork(network, select_by_magnitude(Space.of(network, "column-2"), 0.5))
        pruned.save(tmp_path / "columns.espalier")
        assert PrunedNetwork.load(tmp_path / "columns.espalier").layer_mask("conv2").pattern == "column-2"
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(plugins, "entry_points", lambda group: {})
            with pytest.raises(EspalierError, match="unknown pattern 'column-2'"):
                PrunedNetwork.load(tmp_path / "columns.espalier")


BROKEN_PATTERNS = {
    "WrongNest": r"mask = nest: row 0 of a mask of the shape \(5, 3, 9\): the nest reads columns \[0, .*\], kept are",
    "NestRaises": "mask = nest: IndexError: index 3 is out of bounds for axis 1$",
    "WrongIndexBits": r"index bits: column lists of a mask of the shape \(5, 3, 9\): charges \d+ bits, stores \d+$",
    "WrongDecode": r"decode\(encode\) = mask: column lists of a mask of the shape \(5, 3, 9\): at \[0, 0, 0\] it has",
    "WrongUnits": r"units cover the weights: of the shape \(5, 3, 9\), expand has units of",
    "OwnLocusOfOneRatio": r"the ratio is reached: of the shape \(5, 3, 9\), \d+ weights stay at 30%, fewer at a lower",
    "NothingIsWrong": r"broken masks are refused: a mask of the shape \(5, 3, 9\) is legal without the weight \[",
    "EverythingIsWrong": r"masks that are chosen are legal: a mask of the shape \(5, 3, 9\) that was drawn breaks the",
}
BROKEN_SELECTORS = {
    "ignores-generator": "the same seed gives the same masks: conv1, irregular: two calls with the seed 0 give",
    "one-seed": "another seed gives other masks where any are drawn: all seeds give the same masks, and draws is True",
    "prunes-less": r"the ratio is reached: conv1, irregular: \d+ units stay at a ratio of 50%, 27 units should$",
    "leaves-out": r"masks are of the space: masks are \{'conv2': 'irregular'",
    "forgets-rounds": "what earlier rounds pruned stays pruned: conv1, irregular: it keeps weights that an earlier",
    "overspends": "the budget is kept: it judges masks 8 times, with a budget of 7$",
    "judges-secretly": "the budget is kept: it judges masks 7 times, and searches is False$",
    "takes-any": r"the budget is kept: the error rate of its masks is 0\.\d+, the best that it judged 0\.",
    "begins-elsewhere": "a search that was stopped goes on: conv1, irregular: stopped and resumed, it gives other",
    "loose": "it is frozen: Loose is no frozen dataclass$",
}


@pytest.mark.usefixtures("outside")
class TestBroken:
    @pytest.mark.parametrize("name", BROKEN_PATTERNS)
    def test_a_broken_pattern_fails(self, name: str) -> None:
        """One line says which claim, where, and what would be right."""
        with pytest.raises(ConformanceError, match=f"^pattern {name}: {BROKEN_PATTERNS[name]}") as caught:
            check_pattern(name)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", BROKEN_SELECTORS)
    def test_a_broken_selector_fails(self, name: str) -> None:
        """One line says which claim, where, and what would be right."""
        with pytest.raises(ConformanceError, match=f"^selector {name}: {BROKEN_SELECTORS[name]}") as caught:
            check_selector(name)
        assert "\n" not in str(caught.value)

    def test_what_is_not_registered_fails(self) -> None:
        """No file and no command could name it."""
        from support.broken_outside import Broken

        with pytest.raises(ConformanceError, match=r"^pattern Broken: it is registered: unknown pattern 'Broken'"):
            check_pattern(Broken(2))


class TestReaders:
    """Negative controls of the claims about readers, which no pattern alone can break."""

    case = PatternCase(parse_pattern("kernel"), 0)

    def said(self, claim: str) -> str:
        """Return what contradicts a claim of a pattern that is right."""
        return pattern_claims.CLAIMS[claim](self.case) or ""

    def test_a_code_of_the_engine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One wrong code of one tensor is found."""
        original = pattern_claims.compile_program

        class Off:
            def __init__(self, *given: Any) -> None:
                self.engine = original(*given)

            def run(self, *given: Any, **how: Any) -> Any:
                result = self.engine.run(*given, **how)
                tensors = {name: np.array(codes) for name, codes in result.tensors.items()}
                tensors["conv2"][3, 1, 2, 0] += 1
                return replace(result, tensors=tensors)

        monkeypatch.setattr(pattern_claims, "compile_program", Off)
        assert "at [3, 1, 2, 0] it has" in self.said("golden = engine")

    def test_a_code_and_a_cycle_of_the_hardware(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One wrong code of one image is found, and one cycle more."""
        runs = pattern_claims.simulate(
            self.case.program,
            pattern_claims.array_for(self.case.program, *pattern_claims.LANES),
            self.case.codes(2),
        )
        monkeypatch.setattr(pattern_claims, "simulate", lambda *_: runs)
        assert not self.said("golden = RTL, in as many cycles")
        late = [runs[0], replace(runs[1], cycles=runs[1].cycles + 1)]
        monkeypatch.setattr(pattern_claims, "simulate", lambda *_: late)
        assert self.said("golden = RTL, in as many cycles").startswith(f"image 1: {runs[1].cycles + 1} cycles, the")
        wrong = [runs[0], replace(runs[1], codes=runs[1].codes + (np.arange(5) == 4))]
        monkeypatch.setattr(pattern_claims, "simulate", lambda *_: wrong)
        assert self.said("golden = RTL, in as many cycles").startswith("image 1: at [4] it has")

    def test_a_mac_and_a_bit_that_are_charged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One MAC and one bit more than there are, are found."""
        right = pattern_claims.cost_of
        for field, claim in (
            ("macs", "MACs charged = MACs executed"),
            ("index_memory_bits", "bits charged = bits in the file"),
            ("weight_memory_bits", "bits charged = bits in the file"),
        ):
            assert not self.said(claim)

            def more(program: Any, field: str = field) -> Any:
                cost = right(program)
                first = cost.layers[0]
                counts = replace(first.counts, **{field: getattr(first.counts, field) + 1})
                return replace(cost, layers=(replace(first, counts=counts), *cost.layers[1:]))

            monkeypatch.setattr(pattern_claims, "cost_of", more)
            assert self.said(claim).startswith("conv1")
            monkeypatch.setattr(pattern_claims, "cost_of", right)


@pytest.mark.parametrize("name", SELECTORS)
def test_our_selectors_conform(name: str) -> None:
    """What is asked of others holds for ours."""
    check_selector(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["feature-map", "ikss", "ikss-rest", "kernel+ikss", "kernel@2", "kernel@3+ikss", "block-3", "irregular", "2:4"],
)
def test_our_patterns_conform(name: str) -> None:
    """What is asked of others holds for ours."""
    check_pattern(name)


class TestEntryPoints:
    def test_two_packages_of_one_name(self, site: Path) -> None:
        """Which of them is meant nobody can say."""
        register(site, "one", {plugins.SELECTORS: {"mine": "one:Mine"}})
        register(site, "two", {plugins.SELECTORS: {"mine": "two:Mine"}})
        with pytest.raises(EspalierError, match=r"one:Mine and two:Mine both register the name 'mine'$"):
            selector("mine")

    def test_what_cannot_be_imported(self, site: Path) -> None:
        """The line says what, from where, and why."""
        register(site, "one", {plugins.PATTERNS: {"mine": "no_such_module:x"}})
        with pytest.raises(EspalierError, match=r"^espalier\.patterns: mine \(no_such_module:x\) cannot be loaded: No"):
            parse_pattern("mine")

    def test_what_is_of_another_kind(self, site: Path) -> None:
        """A pattern has to be one, or a function; a selector a Selector of that name."""
        points = {"a": "json:JSONDecodeError", "b": "json:loads"}
        register(site, "one", {plugins.PATTERNS: points, plugins.SELECTORS: {"mine": "accel.prune:Random"}})
        with pytest.raises(EspalierError, match="a must be a Pattern or a function, got <class"):
            parse_pattern("1")
        with pytest.raises(EspalierError, match=r"mine must be a Selector of that name, got Random\(\)"):
            selector("mine")

    def test_a_function_that_gives_something_else(self, site: Path) -> None:
        """So must what the function gives."""
        register(site, "one", {plugins.PATTERNS: {"b": "json:loads"}})
        with pytest.raises(EspalierError, match="b must give a Pattern or None, got 1"):
            parse_pattern("1")

"""`espalier study pruning`: what is measured, that a stop loses one point at most, and what is drawn from."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from support.commandline import complaint, contents, espalier, espalier_process
from support.sealing import resealed

from accel.cost import cost_of, total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import load
from accel.prune import select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower, ordered_for
from reports.shared.journal import Journal
from reports.studies.files import POINTS
from reports.studies.pruning import figures, run
from reports.studies.pruning.compared import COMPARED, PATTERNS
from reports.studies.pruning.cycles import on_array
from reports.studies.pruning.definition import QUICK, STUDIES, Setting, Study, Target, Task, parts
from reports.studies.pruning.index import index
from reports.studies.pruning.index import main as index_main
from reports.studies.pruning.page import page
from reports.studies.pruning.results import DENSE, Group, OnArray, Point, Results, packed, unpacked
from reports.workflow.prune import prune
from reports.workflow.selection import FROM_MAGNITUDE, Trace, kept_weights, sparsity_of

PNG = b"\x89PNG\r\n\x1a\n"
TINY = Study(
    "digits",
    sweep={"feature-map": (0.5,)},
    settings=(Setting("feature-map+kernel", {"feature-map": 0.25, "kernel": {"conv2": 0.25, "conv3": 0.5}}),),
    epochs=1,
    selectors=("random", "magnitude", FROM_MAGNITUDE),
    budget=3,
    selection_images=30,
    targets=(Target(0.5, 0.01),),
)


def on_array_cost(pruned: PrunedNetwork) -> OnArray:
    """Return what a network takes on 8 x 8 lanes, step by step."""
    program = lower(pruned, Widths(6, 6), np.zeros((1, *pruned.network.input_shape), np.float32) + 0.5)
    ordered = ordered_for(program, 8, split=True)
    return OnArray(cost_of(ordered).total.macs, total_cycles(ordered, array_for(ordered, 8, 8)))


COMMAND = ("study", "pruning", "digits", "--seeds", 2, "--out")


def made_task(**values: Any) -> Task:
    """Return a task that nobody will do."""
    task = Task("kernel", {"kernel": 0.5}, "magnitude", 0, 1, 0, 10, 100, ["conv1", "fc5"], "0123", "")
    return replace(task, **values)


def made_point(kept: int, validation: float, test: float, **values: Any) -> Point:
    """Return a retrained point of a network of a convolution of 100 weights and a matrix of 300."""
    layers = {"conv1": [kept, 100], "fc2": [2 * kept, 300]}
    before, after = {"validation": 0.5, "test": 0.5}, {"validation": validation, "test": test}
    return Point(made_task(**values), layers, before, after)


def made_results(*points: Point, seeds: int = 1) -> Results:
    """Return results of which the dense network makes 1 % errors on the validation images, 2 % on the test images."""
    study = replace(TINY, network="made", targets=(Target(0.5, 0.01),))
    dense = {"validation": 0.01, "test": 0.02, "selection": 0.0}
    images = {"train": 1000, "validation": 100, "test": 200, "selection": 50}
    definition = json.loads(json.dumps(study, default=vars))
    return Results("made", "digits", seeds, definition, "Recipe()", dense, images, ("conv1",), 9, points, {})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a study that nobody stopped; nobody may change it."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STUDIES, "digits", TINY)
        done = espalier(*COMMAND, folder)
    assert (done.status, done.err) == (0, "")
    assert done.out == f"Written to {folder}: README.md, results.json and 4 figures; 8 of 8 points.\n"
    return folder


@pytest.fixture(scope="module")
def results(whole: Path) -> Results:
    """Return its results."""
    return Results.from_json((whole / "results.json").read_text())


class TestStudy:
    def test_every_point_is_there(self, results: Results) -> None:
        """Each selector at each ratio and seed, each setting at each seed; without retraining, magnitude once."""
        done = [(p.task.granularity, p.task.selector, p.task.seed, p.after is not None) for p in results.points]
        swept = [("random", 0), ("random", 1), ("magnitude", 0), (FROM_MAGNITUDE, 0), (FROM_MAGNITUDE, 1)]
        retrained = [("feature-map+kernel", "magnitude", seed, True) for seed in (0, 1)]
        voted = ("feature-map", "activation-sum", 0, False)
        assert done == [*retrained, *(("feature-map", *x, False) for x in swept), voted]

    def test_numbers(self, results: Results) -> None:
        """Sparsities, and error rates before retraining, are those of the network that the library prunes."""
        point = next(p for p in results.points if p.task.selector == "magnitude" and p.after is None)
        pruned = prune(zoo.load("digits"), "feature-map", {"feature-map": 0.5})
        images = load("digits", "test")
        wrong = pruned.network.scores(images.pixels()).argmax(axis=1) != images.labels
        assert point.before["test"] == wrong.mean()
        assert point.sparsity() == pytest.approx(pruned.sparsity)
        assert point.sparsity(("conv2",)) == 0.5
        other = next(p for p in results.points if p.task.selector == "random")  # negative control
        assert other.before != point.before
        assert all(p.after["validation"] < p.before["validation"] for p in results.points if p.after)

    def test_seeds_differ(self, results: Results) -> None:
        """Two seeds are two trainings."""
        first, second = (p.after for p in results.points if p.after)
        assert first != second

    def test_started_from_magnitude(self, results: Results) -> None:
        """A filter that starts from magnitude is no worse than it on the images that it looks at."""
        rates = {p.task.selector: p.before["validation"] for p in results.points if p.after is None}
        assert rates[FROM_MAGNITUDE] <= rates["magnitude"]

    def test_done_is_done(self, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Run again, nothing is measured, and the same files are written."""
        before = contents(whole)
        monkeypatch.setitem(STUDIES, "digits", TINY)
        monkeypatch.setattr(run, "measured", lambda *_: pytest.fail("measured again"))
        assert espalier(*COMMAND, whole).status == 0
        assert contents(whole) == before

    def test_quick(self, tmp_path: Path) -> None:
        """The quick study is one of any network, and has all selectors."""
        study = run.study_of("digits", quick=True)
        assert replace(study, network="") == QUICK
        swept = 2 * 2 * (4 * 3 + 1) + 2  # two granularities and ratios; magnitude has one seed, and so has voting
        assert len(study.tasks(3, (), "", "")) == swept + 2 * 3

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["lenet6"], "unknown study 'lenet6': did you mean 'lenet5'?"),
            (["digits"], "unknown study 'digits': "),
            (["lenet5", "--seeds", "0"], "Invalid value for '--seeds': 0 is not in the range x>=1."),
            (["lenet5", "--array", "8"], "--array 8: expected output lanes x pixel lanes, such as 8x8"),
            (["digits", "--array", "8x8"], "unknown study on an array 'digits': "),
        ],
    )
    def test_bad_input(self, tmp_path: Path, arguments: list[str], words: str) -> None:
        """What cannot be studied is told with what can; nothing is written."""
        assert complaint("study", "pruning", *arguments, "--out", tmp_path / "o").startswith(words)
        assert contents(tmp_path) == {}


class TestResume:
    STOP = """
import os, reports.studies.pruning.definition as s, reports.studies.pruning.run as r
from reports.studies.pruning.definition import *
s.STUDIES["digits"] = eval({study!r})
add, count = r.Store.add, []
def dying(self, point, masks):
    if len(self.points) == {at}:
        with self.journal.path.open("ab") as file:
            file.write(b'{{"task": {{"granula')
        os._exit(9)  # as if killed, in the middle of a line
    add(self, point, masks)
r.Store.add = dying
"""

    @pytest.mark.slow
    def test_killed(self, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Killed while it writes a point: the same command measures that and the missing ones, and ends the same."""
        at = 4  # two were retrained, two swept
        words = [str(word) for word in (*COMMAND, tmp_path)]
        assert espalier_process(*words, before=self.STOP.format(study=repr(TINY), at=at)).status == 9
        points = tmp_path / POINTS
        assert points.read_bytes().count(b"\n") == at
        assert not points.read_bytes().endswith(b"\n")
        measured: list[str] = []
        measure = run.measured
        monkeypatch.setitem(STUDIES, "digits", TINY)
        monkeypatch.setattr(run, "measured", lambda *x: measured.append(x[0].key) or measure(*x))
        assert espalier(*COMMAND, tmp_path).status == 0
        assert len(measured) == 8 - at
        assert contents(tmp_path) == contents(whole)

    def test_something_else(self, tmp_path: Path) -> None:
        """A line that is whole and yet is no point is named."""
        path = tmp_path / "points.jsonl"
        Journal(path, "fruit").add({"grams": 90})
        with pytest.raises(EspalierError, match="line 1 is no point of a study"):
            run.Store(path)

    def test_another_definition(self, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Points of another budget are not taken for those of this one."""
        points = {json.loads(line)["task"]["budget"] for line in (whole / POINTS).read_text().splitlines()}
        assert points == {3}
        tasks = replace(TINY, budget=4).tasks(2, (), "", "")
        store = run.Store(whole / POINTS)
        assert not any(task.key in store.points for task in tasks)
        same = next(iter(store.points.values())).task
        assert same.key in store.points  # negative control


class TestFigures:
    def test_drawn_from_saved_results(self, whole: Path, results: Results, tmp_path: Path) -> None:
        """results.json alone gives the same figures and page; another number in it gives another figure."""
        (tmp_path / "results.json").write_bytes((whole / "results.json").read_bytes())
        assert espalier(*COMMAND, tmp_path, "--draw").status == 0
        names = {name for name in contents(whole) if not name.startswith("checkpoints")}
        assert contents(tmp_path) == {name: (whole / name).read_bytes() for name in names}
        swept = next(p for p in results.points if p.after is None)
        text = results.to_json().replace(f'"test": {swept.before["test"]}', '"test": 0.123', 1)
        changed = figures.render(Results.from_json(resealed(json.loads(text))))
        assert changed["sweep.png"] != (whole / "sweep.png").read_bytes()
        assert changed["masks.png"] == (whole / "masks.png").read_bytes()
        assert all(content.startswith(PNG) for content in changed.values())

    def test_no_state(self) -> None:
        """No figure is made by pyplot, which keeps state."""
        source = Path(figures.__file__).read_text()
        assert "pyplot" not in source.replace("no pyplot", "")

    def test_lines(self, results: Results) -> None:
        """A point of the sweep is where its numbers are."""
        axes = figures.sweep(results).axes[0]
        lines = {line.get_label(): line for line in axes.get_lines()}
        means = {g.task.selector: 100 * g.mean() for g in results.sweep}
        for selector, mean in means.items():
            assert lines[selector].get_ydata() == pytest.approx([mean])
        assert set(lines) == {*means, "dense"}

    def test_masks(self, results: Results) -> None:
        """The pictures show as much as the layers keep, in the places of the dense network."""
        point = next(p for p in results.points if p.after)
        for name, record in results.pictures["feature-map+kernel"].items():
            kept = unpacked(record)
            layer = zoo.load("digits").network[name]
            assert kept.shape == layer.lowered_shape  # type: ignore[attr-defined]
            assert int(kept.sum()) == point.layers[name][0]

    def test_nothing_yet(self) -> None:
        """Results without points can be drawn too."""
        drawn = figures.render(made_results())
        assert "Nothing" not in page(made_results(), drawn)


class TestOnArray:
    RATIOS: ClassVar = {"kernel@8": {"conv2": 0.5, "conv3": 0.75}}

    def results(self, **values: Any) -> Results:
        """Return results of kernels of digits in groups of 8, as if measured, and of one that a lasso preceded."""
        dense = zoo.load("digits")
        kept = kept_weights(prune(dense, "kernel@8", self.RATIOS))
        layers = {name: list(pair) for name, pair in kept.items()} | values
        task = made_task(granularity="kernel@8", ratios=self.RATIOS, spare=["conv1", "fc4"])
        rates = {"validation": 0.011, "test": 0.03}
        points = [Point(task, layers, rates, rates), Point(replace(task, sparsify=3), layers, rates, rates)]
        return replace(made_results(*points), network="digits", convolutions=("conv1", "conv2", "conv3"))

    def test_cycles(self) -> None:
        """A setting takes what its network does, pruned, lowered and in order; the dense network too."""
        found = on_array(self.results(), zoo.load("digits"), (8, 4))
        pruned = prune(zoo.load("digits"), "kernel@8", self.RATIOS)
        pixels = np.random.default_rng(7).random((2, 1, 8, 8), np.float32)  # no cycle depends on them, nor on widths
        program = ordered_for(lower(pruned, Widths(4, 5), pixels), 8, split=True)
        cost = found.costs[found.retrained[0].setting]
        assert found.array == "8x4"
        assert cost == OnArray(cost_of(program).total.macs, total_cycles(program, array_for(program, 8, 4)))
        assert cost.cycles < found.costs[DENSE].cycles
        assert on_array(self.results(), zoo.load("digits"), (8, 8)).costs != found.costs  # negative control

    def test_a_lasso_before(self) -> None:
        """What training under a group lasso chose is not known without it."""
        found = self.results()
        lasso = replace(found, points=found.points[1:])
        assert [*on_array(lasso, zoo.load("digits"), (8, 8)).costs] == [DENSE]

    def test_a_lasso_whose_masks_are_there(self) -> None:
        """The masks of one seed are in the results, and say what it takes; without feature maps, which go for good."""
        found, dense = self.results(), zoo.load("digits")
        pruned = prune(dense, "kernel@8", self.RATIOS)
        masks = {name: packed(pruned.layer_mask(name).kept) for name in ("conv1", "conv2", "conv3", "fc4")}
        lasso = replace(found, points=found.points[1:], pictures={"kernel@8": masks})
        known = on_array(found, dense, (8, 8)).costs
        assert on_array(lasso, dense, (8, 8)).costs == known
        fewer = masks | {"conv3": packed(np.zeros((32, 32, 9), bool))}
        with pytest.raises(EspalierError, match="keeps other weights"):
            on_array(replace(lasso, pictures={"kernel@8": fewer}), dense, (8, 8))

    def test_other_weights(self) -> None:
        """What was measured of other weights than the setting keeps now is refused."""
        with pytest.raises(EspalierError, match=r"^kernel@8 .*: keeps other weights than those that were measured"):
            on_array(self.results(conv2=[1, 4608]), zoo.load("digits"), (8, 8))

    def test_quickest(self) -> None:
        """Of what is within the tolerance on the validation images, the setting of the fewest cycles counts."""
        near = made_point(40, 0.012, 0.5)
        far = made_point(30, 0.019, 0.02, ratios={"kernel": 0.8})
        slow = made_point(20, 0.011, 0.02, ratios={"kernel": 0.9})
        cycles = dict(zip([Group((point,)).setting for point in (near, far, slow)], (80, 60, 90), strict=True))
        costs = {name: OnArray(10, count) for name, count in {**cycles, DENSE: 100}.items()}
        found = replace(made_results(near, far, slow), array="8x8", costs=costs)
        assert found.quickest("kernel", 0.003) == (Group((near,)), OnArray(10, 80))
        assert found.quickest("kernel", 0.01) == (Group((far,)), OnArray(10, 60))
        assert found.quickest("kernel", 0.0) is None
        assert found.quickest("irregular", 1.0) is None
        assert "| kernel | 80 (+48.00 %) | 80 (+48.00 %) | 60 (+0.00 %) |" in page(found, [])
        drawn = figures.cycles(found).axes[0].get_lines()
        assert any(np.array_equal(line.get_xdata(), [0.06, 0.08, 0.09]) for line in drawn)
        assert Results.from_json(found.to_json()) == found

    def test_at_equal_cycles(self, tmp_path: Path) -> None:
        """Half-way between two settings is half of both errors; what no setting reaches is said, the best is bold."""
        half, quarter = made_point(40, 0.01, 0.04), made_point(20, 0.01, 0.08, ratios={"kernel": 0.8})
        other = made_point(30, 0.01, 0.03, granularity="ikss", ratios={"ikss": 0.5})
        names = [Group((point,)).setting for point in (half, quarter, other)]
        cycles = {**dict(zip(names, (50, 25, 60), strict=True)), DENSE: 100}
        costs = {name: OnArray(count // 2, count) for name, count in cycles.items()}
        whole = replace(made_results(half, quarter, other), network="lenet5", array="8x8", costs=costs)
        found = replace(whole, definition={**whole.definition, "sweep": {}})
        text = index([found])  # the dense network has 2 %
        assert "| kernel | +0.40 % | +0.80 % | +1.20 % | +1.60 % | **+2.00 %** | **+3.60 %** |" in text
        assert "| ikss | **+0.25 %** | **+0.50 %** | **+0.75 %** | **+1.00 %** | not reached | not reached |" in text
        assert "| kernel | 60.0% | 50.0% | 50.0% | 1.00 |" in text
        assert "`ikss` is lowest at 4 of the 6 shares that any pattern reaches." in text
        (tmp_path / "lenet5-cycles").mkdir()
        (tmp_path / "lenet5-cycles" / "results.json").write_text(found.to_json())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("reports.studies.pruning.index.VERSIONS", ())
            assert CliRunner().invoke(index_main, [str(tmp_path)]).exit_code == 0
        assert (tmp_path / "README.md").read_text() == text
        slower = made_point(30, 0.01, 0.05, granularity="irregular", ratios={"irregular": 0.5})
        costs |= {Group((slower,)).setting: OnArray(10, 90)}  # more cycles for more errors: nobody would take it
        text = index([replace(whole, points=(*whole.points, slower), costs=costs)])
        fronts = [line.split(" | ")[0] for line in text.splitlines() if line.endswith(" % |")]
        assert fronts == ["| kernel", "| kernel", "| ikss"]

    def test_versions_of_the_zoo(self) -> None:
        """The page tells of each version what the zoo says of its errors, and what it takes."""
        pruned = zoo.load("digits", "kernel@8")
        cost, dense = on_array_cost(pruned), on_array_cost(zoo.load("digits"))
        shares = f"{cost.macs / dense.macs:.1%} | {cost.cycles / dense.cycles:.1%}"
        rate = zoo.error_rates("digits")["kernel@8"]
        row = f"| kernel@8 | {cost.macs:,} | {cost.cycles:,} | {shares} | {100 * rate:.2f} % |"
        assert row in index([], ["digits"])

    def test_drawn_again(self, whole: Path, tmp_path: Path) -> None:
        """Cycles of a study that is there are counted anew from its results alone."""
        (tmp_path / "results.json").write_bytes((whole / "results.json").read_bytes())
        assert espalier(*COMMAND, tmp_path, "--draw", "--array", "8x8").status == 0
        first = Results.from_json((tmp_path / "results.json").read_text())
        assert len(first.costs) == 2  # the dense network, and what was retrained
        assert (tmp_path / "cycles.png").read_bytes().startswith(PNG)
        assert espalier(*COMMAND, tmp_path, "--draw", "--array", "4x4").status == 0
        again = Results.from_json((tmp_path / "results.json").read_text())
        assert again.points == first.points
        assert all(again.costs[name].cycles > first.costs[name].cycles for name in first.costs)

    @pytest.mark.parametrize("name", COMPARED)
    def test_what_is_compared(self, name: str) -> None:
        """At each ratio every pattern is there, without as many of the weights, and feature maps fill their groups."""
        dense, study = zoo.load(name), COMPARED[name]
        together = [*study.settings, *study.later]
        for first in range(0, len(together), 4):
            shares = {}
            for setting in together[first : first + 4]:
                pruned = prune(dense, setting.granularity, setting.ratios)
                layers = [kept_weights(pruned)[layer] for layer in ("conv2", "conv3")]
                shares[setting.granularity] = sparsity_of(dict(zip("23", layers, strict=True)))
            assert [*shares] == [*PATTERNS, "feature-map"]
            assert max(shares.values()) - min(shares.values()) < 0.04
            assert all(len(pruned.network[layer].weight) % 8 == 0 for layer in ("conv2", "conv3"))  # type: ignore[attr-defined]


class TestTrace:
    def test_masks_in_the_dense_network(self) -> None:
        """What a narrower network keeps has the same weights at the places that the trace tells."""
        dense = zoo.load("digits")
        trace = Trace(dense.network)
        pruned = prune(dense, "feature-map+kernel", choose=trace.following(select_by_magnitude))
        masks = trace.masks(pruned)
        for layer in pruned.network.weighted:
            original = dense.network[layer.name]
            kept = original.weight.reshape(original.lowered_shape)[masks[layer.name]]  # type: ignore[attr-defined]
            left = layer.weight.reshape(layer.lowered_shape)[pruned.layer_mask(layer.name).kept]
            assert np.array_equal(kept, left)
            assert kept_weights(pruned)[layer.name] == (kept.size, original.weight.size)  # type: ignore[attr-defined]
        moved = np.roll(masks["conv2"], 1, axis=0)  # negative control
        assert not np.array_equal(dense.network["conv2"].weight.reshape(32, 16, 9)[moved], kept)  # type: ignore[attr-defined]

    def test_packing(self) -> None:
        """A mask is what it was, after it was text."""
        mask = np.random.default_rng(0).random((7, 3, 5)) < 0.4
        again = unpacked(json.loads(json.dumps(packed(mask))))
        assert np.array_equal(mask, again)
        assert not np.array_equal(mask, ~again)


class TestRules:
    def test_best(self) -> None:
        """The sparsest whose validation error is within the tolerance, whatever the test images say."""
        near = made_point(40, 0.013, 0.5)
        far = made_point(20, 0.0131, 0.0, ratios={"kernel": 0.8})
        found = made_results(near, far)
        assert found.best("kernel", 0.003) == Group((near,))
        assert found.best("kernel", 0.0031) == Group((far,))
        assert found.best("kernel", 0.002) is None
        assert found.best("irregular", 1.0) is None

    def test_mean_of_the_seeds(self) -> None:
        """The mean counts, and a setting of which a seed is missing does not."""
        pair = made_point(40, 0.010, 0.03), made_point(40, 0.020, 0.05, seed=1)
        found = made_results(*pair, made_point(20, 0.01, 0.02, ratios={"kernel": 0.8}), seeds=2)
        assert [group.points for group in found.retrained] == [pair]
        assert found.retrained[0].mean() == pytest.approx(0.04)
        assert found.retrained[0].span() == (0.03, 0.05)
        assert found.best("kernel", 0.005) == Group(pair)
        assert found.best("kernel", 0.0049) is None

    def test_targets(self) -> None:
        """A target is met or missed by what the test images say of the setting with the lowest validation error."""
        sparse = made_point(40, 0.02, 0.045)  # 120 of 400 kept
        other = made_point(40, 0.03, 0.02, ratios={"kernel": 0.7})
        dense = made_point(90, 0.01, 0.02, ratios={"kernel": 0.1})
        found = made_results(dense, sparse, other)
        assert found.nearest(Target(0.5, 0.01)) == Group((sparse,))
        assert found.nearest(Target(0.71, 0.01)) is None
        assert found.nearest(Target(0.6, 0.01, convolutions=True)) == Group((sparse,))
        assert found.nearest(Target(0.61, 0.01, convolutions=True)) is None
        assert found.nearest(Target(0.5, 0.01, granularities=("block-4",))) is None
        assert "| missed by 1.50 %: kernel (magnitude, 1 epoch), 70.0% gone, +2.50 %" in page(found, [])
        assert "| met: kernel" in page(replace(found, dense={**found.dense, "test": 0.036}), [])

    def test_format(self, results: Results) -> None:
        """What was written is read again; anything else is refused."""
        assert Results.from_json(results.to_json()) == results
        assert Results.from_json(results.to_json()) != replace(results, seeds=3)
        for text in ("", "[]", "{}", results.to_json().replace('"version": 3', '"version": 2')):
            with pytest.raises(EspalierError):
                Results.from_json(text)

    def test_the_table(self) -> None:
        """Every study of the table names patterns that exist and layers with a ratio each, for three seeds at least."""
        for name, study in (*STUDIES.items(), *COMPARED.items()):
            assert study.network == name
            assert study.settings
            for setting in study.settings:
                assert set(setting.ratios) == set(parts(setting.granularity))
            tasks = study.tasks(3, (), "", "")
            assert len({task.key for task in tasks}) == len(tasks)

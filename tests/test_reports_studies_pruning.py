"""`espalier study pruning`: what is measured, that a stop loses one point at most, and what is drawn from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.commandline import complaint, contents, espalier, espalier_process
from support.pruning_studies import made_point, made_results, made_task
from support.sealing import resealed

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import load
from accel.prune import select_by_magnitude
from reports.shared.journal import Journal
from reports.studies.files import POINTS
from reports.studies.pruning import figures, points, run
from reports.studies.pruning.compared import COMPARED
from reports.studies.pruning.definition import QUICK, STUDIES, Setting, Study, Target, parts
from reports.studies.pruning.page import page
from reports.studies.pruning.results import Group, Results, packed, unpacked
from reports.workflow.prune import prune
from reports.workflow.selection import FROM_MAGNITUDE, Trace, kept_weights

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


COMMAND = ("study", "pruning", "digits", "--seeds", 2, "--jobs", 1, "--out")


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

    @pytest.mark.parametrize("granularity", ["kernel", "kernel@8"])
    def test_maps_that_moved(self, granularity: str) -> None:
        """Groups move output maps before they are chosen; the rates before retraining are of the network after that."""
        dense, images = zoo.load("digits"), load("digits", "test")
        pruned = prune(dense, granularity, {granularity: 0.6}, spare=["conv1", "fc4"])
        moved = not np.array_equal(pruned.network["conv2"].bias, dense.network["conv2"].bias)  # type: ignore[attr-defined]
        assert moved == (granularity == "kernel@8")
        bench = points.Bench(dense, dict.fromkeys(("selection", "validation", "test"), images))
        task = made_task(granularity=granularity, ratios={granularity: 0.6}, epochs=0, spare=["conv1", "fc4"])
        point, _ = points.measured(task, bench, None, 0.0)
        wrong = pruned.network.scores(images.pixels()).argmax(axis=1) != images.labels
        assert point.before["test"] == wrong.mean()

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
        monkeypatch.setattr(points, "measured", lambda *_: pytest.fail("measured again"))
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
            (["lenet5", "--array", "8x3"], "pixel_lanes must be a power of two, got 3"),
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
        kept = (tmp_path / POINTS).read_bytes()
        assert kept.count(b"\n") == at
        assert not kept.endswith(b"\n")
        measured: list[str] = []
        measure = points.measured
        monkeypatch.setitem(STUDIES, "digits", TINY)
        monkeypatch.setattr(points, "measured", lambda *x: measured.append(x[0].key) or measure(*x))
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
        budgets = {json.loads(line)["task"]["budget"] for line in (whole / POINTS).read_text().splitlines()}
        assert budgets == {3}
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

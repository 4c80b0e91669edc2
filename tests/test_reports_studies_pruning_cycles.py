"""Studies of pruning on an array: what settings take, which pattern is best at equal cycles."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from support.pruning_studies import made_point, made_results, made_task

from accel.cost import cost_of, total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower, ordered_for
from reports.studies.pruning import figures
from reports.studies.pruning.compared import COMPARED, PATTERNS
from reports.studies.pruning.cycles import on_array
from reports.studies.pruning.index import index
from reports.studies.pruning.index import main as index_main
from reports.studies.pruning.page import page
from reports.studies.pruning.results import DENSE, Group, OnArray, Point, Results, packed
from reports.workflow.prune import prune
from reports.workflow.selection import kept_weights, sparsity_of


def on_array_cost(pruned: PrunedNetwork) -> OnArray:
    """Return what a network takes on 8 x 8 lanes, step by step."""
    program = lower(pruned, Widths(6, 6), np.zeros((1, *pruned.network.input_shape), np.float32) + 0.5)
    ordered = ordered_for(program, 8, split=True)
    return OnArray(cost_of(ordered).total.macs, total_cycles(ordered, array_for(ordered, 8, 8)))


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
        assert "| kernel | 60.0% | 4.00 % (4.00 % to 4.00 %) | +2.00 % | 50 | 50.0% | 50.0% | 1.00 |" in text
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

    def test_a_dense_network_trained_alike(self) -> None:
        """Errors rise above those of the dense network after the same training, where it was measured."""
        control = made_point(100, 0.01, 0.015, granularity=DENSE, ratios={})
        half = made_point(40, 0.012, 0.04)
        costs = {name: OnArray(10, count) for name, count in {Group((half,)).setting: 50, DENSE: 100}.items()}
        made = made_results(control, half)
        found = replace(made, definition={**made.definition, "sweep": {}}, array="8x8", costs=costs)
        assert [group.task.granularity for group in found.retrained] == ["kernel"]  # nothing is pruned of the other
        assert found.rise(found.retrained[0]) == pytest.approx(0.04 - 0.015)
        assert replace(found, points=(half,)).rise(found.retrained[0]) == pytest.approx(0.04 - 0.02)
        assert found.best("kernel", 0.003) is not None
        text = index([found])
        assert "1.50 % (1.50 % to 1.50 %) after the training that what is pruned gets" in text
        assert "| kernel | +0.50 % | +1.00 % | +1.50 % | +2.00 % | +2.50 % |" in text.replace("**", "")
        assert "| dense | 1 | 0.0% | 10 | 100 | 100.0% | 100.0% | 1.50 % (1.50 % to 1.50 %) |" in page(found, [])
        ends = [line.get_xydata() for line in figures.cycles(found).axes[0].get_lines()]
        assert any(np.allclose(line, [[0.05, 4], [0.1, 1.5]]) for line in ends)  # the line begins there

    @pytest.mark.parametrize(("rates", "said"), [((0.05, 0.06), "do not overlap"), ((0.035, 0.06), "overlap")])
    def test_in_groups(self, rates: tuple[float, float], said: str) -> None:
        """Kernels in groups are set against kernels alone of the same ratio: cycles, errors, whether seeds agree."""
        ratios = {"kernel": {"conv1": 0.6}}
        alone = [made_point(40, 0.01, rate, ratios=ratios, seed=seed) for seed, rate in enumerate((0.03, 0.04))]
        grouped = {"granularity": "kernel@8", "ratios": {"kernel@8": ratios["kernel"]}}
        together = [made_point(40, 0.01, rate, seed=seed, **grouped) for seed, rate in enumerate(rates)]
        sparser = [made_point(30, 0.01, 0.05, ratios={"kernel": {"conv1": 0.7}}, seed=seed) for seed in (0, 1)]
        cycles = {Group((alone[0],)).setting: 80, Group((together[0],)).setting: 60, DENSE: 100}
        costs = {name: OnArray(40, count) for name, count in cycles.items()}
        made = made_results(*alone, *together, *sparser, seeds=2)
        text = index([replace(made, definition={**made.definition, "sweep": {}}, array="8x8", costs=costs)])
        more = f"{100 * (sum(rates) / 2 - 0.035):+.2f}"
        assert f"60% of the convolutions gone: 25% fewer cycles, {more} % errors; the seeds' ranges {said}." in text
        assert text.count("`kernel@8` beside `kernel`") == 1

    def test_versions_of_the_zoo(self) -> None:
        """The page tells of each version what the zoo says of its errors, and what it takes."""
        pruned = zoo.load("digits", "kernel@8")
        cost, dense = on_array_cost(pruned), on_array_cost(zoo.load("digits"))
        shares = f"{cost.macs / dense.macs:.1%} | {cost.cycles / dense.cycles:.1%}"
        rate = zoo.error_rates("digits")["kernel@8"]
        row = f"| kernel@8 | {cost.macs:,} | {cost.cycles:,} | {shares} | {100 * rate:.2f} % |"
        assert row in index([], ["digits"])

    @pytest.mark.slow
    @pytest.mark.parametrize("name", COMPARED)
    def test_what_is_compared(self, name: str) -> None:
        """At each ratio every pattern is there, without as many of the weights, and feature maps fill their groups."""
        dense, study = zoo.load(name), COMPARED[name]
        control, *together = [*study.settings, *study.later]
        assert control.granularity == DENSE
        ends = [place for place, setting in enumerate(together, 1) if setting.granularity == "feature-map"]
        assert ends[-1] == len(together)
        for first, end in zip([0, *ends], ends, strict=False):
            shares = {}
            for setting in together[first:end]:
                pruned = prune(dense, setting.granularity, setting.ratios)
                layers = [kept_weights(pruned)[layer] for layer in ("conv2", "conv3")]
                shares[setting.granularity] = sparsity_of(dict(zip("23", layers, strict=True)))
            assert {*shares} >= {*PATTERNS, "feature-map"}
            assert len(shares) == end - first
            assert max(shares.values()) - min(shares.values()) < 0.04
            assert all(len(pruned.network[layer].weight) % 8 == 0 for layer in ("conv2", "conv3"))  # type: ignore[attr-defined]

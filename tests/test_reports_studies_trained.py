import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from accel.errors import EspalierError
from accel.interchange.zoo import DENSE
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.program import Program
from accel.prune import Ratio
from accel.pruned import PrunedNetwork
from accel.train import initialize
from reports.studies.trained.definition import COMPARED, NETWORKS, PATTERNS, PLANS, SEEDS, Task, tasks, widths
from reports.studies.trained.equal_cycles import STEPS, cycles_of, of_floats, ratios_within
from reports.studies.trained.figures import render
from reports.studies.trained.judge import judged
from reports.studies.trained.kept import keep, restore
from reports.studies.trained.page import page
from reports.studies.trained.recipes import RECIPES, Epochs
from reports.studies.trained.results import Results, Version
from reports.studies.trained.run import Place, run
from reports.workflow.prune import prune


class TestDefinition:
    def test_what_a_version_needs_comes_before_it_and_one_seed_before_the_others(self) -> None:
        """Of resnet8 7 patterns in 3 and 4 bits and calibrated in 4 others; 5 at equal cycles of others."""
        order = tasks()
        counts = {"resnet20": 13, "resnet8": 57, "cifar-quick": 10, "lenet5": 15, "lenet-300-100-fashion": 4}
        assert {name: len(plan.versions) for name, plan in PLANS.items()} == counts
        assert len(order) == len({task.stem for task in order}) == sum(counts.values()) * SEEDS
        assert all(order.index(need) < order.index(task) for task in order for need in task.needs)
        assert [task.seed for task in order] == sorted(task.seed for task in order)

    def test_a_pruned_version_of_few_bits_needs_its_floats_and_the_teacher(self) -> None:
        """What is quantised comes first, the dense float network last; its own teacher teaches some patterns too."""
        dense, pruned = Task("resnet8", 2), Task("resnet8", 2, "kernel")
        assert replace(pruned, bits=4).needs == (pruned, dense)
        assert pruned.needs == replace(dense, bits=3).needs == replace(dense, bits=4, everywhere=True).needs == (dense,)
        assert dense.needs == (Task("resnet20", 0),)  # its teacher in a second cycle
        taught = replace(pruned, pattern="kernel@8")
        assert taught.needs == (dense, *dense.needs)
        assert replace(taught, bits=4).needs == (taught, dense)
        assert Task("resnet20", 1).needs == Task("lenet5", 0).needs == ()

    def test_outer_layers_and_sums_that_are_added_have_8_bits(self) -> None:
        """Of resnet8: conv1 and fc, what additions alone read, and the mean; nothing where it is everywhere."""
        network, task = ARCHITECTURES["resnet8"](), Task("resnet8", 0, bits=3)
        found = widths(network, task)
        assert (found.weight_bits, found.signal_bits, found.input_bits) == (3, 3, 8)
        assert found.weight_bits_of == {"conv1": 8, "fc": 8}
        sums = ("conv1_1b", "conv2_1b", "conv2_1s", "conv3_1b", "conv3_1s", "mean")
        assert found.signal_bits_of == dict.fromkeys(sums, 8)
        everywhere = widths(network, replace(task, everywhere=True))
        assert not everywhere.weight_bits_of
        assert not everywhere.signal_bits_of

    def test_epochs_in_words(self) -> None:
        """Each kind of training has its number, whatever the recipes have."""
        network, epochs = Epochs.parse("resnet8=8,3,2")
        assert (network, epochs) == ("resnet8", Epochs(8, 3, 2))
        entry = epochs.entry(network)
        assert entry.quantized is not None
        assert (entry.dense.epochs, entry.retrain.epochs, entry.quantized.epochs) == (8, 3, 2)
        assert [epochs.of(Task(network, 0, *x)) for x in ((DENSE, 0), ("kernel", 0), ("kernel", 4))] == [11, 3, 2]
        blocks = Task("lenet-300-100-fashion", 0, "block-4", gone=90)
        assert Epochs(1, 3, 2).of(blocks) == 30 + 3  # a group lasso comes first
        assert Epochs(8, 3, 2).of(Task("lenet5", 0)) == 8
        assert Epochs(8, 3, 2).of(Task("lenet5", 0, bits=5)) == 0  # which is calibrated

    @pytest.mark.parametrize("name", NETWORKS)
    def test_targets_are_of_versions_that_are_trained(self, name: str) -> None:
        """Each target is met by a version of the plan, and says one of a rise and an error rate."""
        plan = PLANS[name]
        for target in plan.targets:
            assert set(target.versions) <= set(plan.versions)
            assert (target.rise is None) != (target.error_rate is None)

    @pytest.mark.parametrize("text", ["resnet8", "resnet8=1,2", "resnet8=1,2,0", "digits=1,2,3", "resnet8=1,2,x"])
    def test_epochs_that_are_none(self, text: str) -> None:
        """They are refused in a line that says how they are written."""
        with pytest.raises(EspalierError, match=f"--epochs {text}: expected NETWORK=DENSE,PRUNED,QUANTISED"):
            Epochs.parse(text)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_recipes_have_every_pattern_and_a_way_to_quantise(self, name: str) -> None:
        """What is pruned or quantised is taught, what is dense has no teacher."""
        entry, plan = RECIPES[name], PLANS[name]
        known = {task.pattern for task in plan.versions if task.pattern != DENSE and not task.gone}
        assert known <= set(entry.ratios)
        assert {"resnet8": set(PATTERNS), "resnet20": {*COMPARED}}.get(name, known) == known
        assert entry.quantized is not None
        assert entry.retrain.distillation == entry.quantized.distillation > entry.dense.distillation == 0


def version(pattern: str, bits: int, seed: int, validation: float, test: float, network: str = "resnet8") -> Version:
    """Return a version that keeps half of everything, unless it is dense."""
    kept = 100 if pattern == DENSE else 50
    return Version(
        task=Task(network, seed, pattern, bits),
        epochs=5,
        precision="float32",
        error_rates={"validation": validation, "test": test},
        weights=kept,
        dense_weights=100,
        macs=10 * kept,
        dense_macs=1000,
        cycles=20 * kept,
        memory_bits=8192 * bits,
        emulated_images=500 if bits else 0,
    )


RESULTS = Results(
    "8x8",
    {"cifar-10": {"validation": 10_000, "test": 10_000}},
    (
        version(DENSE, 0, 0, 0.15, 0.150),
        version(DENSE, 0, 1, 0.15, 0.154),
        version(DENSE, 4, 0, 0.15, 0.152),
        version(DENSE, 4, 1, 0.15, 0.158),
        version("kernel@8", 0, 0, 0.158, 0.170),
        version("feature-map", 0, 0, 0.159, 0.155),
    ),
)


class TestResults:
    def test_a_rise_is_over_the_network_of_the_same_seed(self) -> None:
        """+0.2 % and +0.4 % are +0.3 % in the mean, from 15.2 to 15.8 %."""
        quantized = RESULTS.groups("resnet8")[1]
        assert quantized.rise() == pytest.approx(0.003)
        assert quantized.span() == (0.152, 0.158)
        assert quantized.mean() == pytest.approx(0.155)

    def test_validation_images_choose_and_test_images_judge(self) -> None:
        """kernel@8 is chosen though feature maps are better on the test images; what was not trained is not found."""
        verdicts = {verdict.target.what: verdict for verdict in RESULTS.verdicts()}
        half = verdicts["half of the multiplications gone"]
        assert half.group is not None
        assert (half.group.task.pattern, half.found) == ("kernel@8", pytest.approx(0.02))
        assert verdicts["3-bit weights and signals"].found is None
        assert verdicts["float"].found == pytest.approx(0.152)

    def test_text_gives_the_results_back(self) -> None:
        """And text that was changed is refused."""
        text = RESULTS.to_json()
        assert Results.from_json(text) == RESULTS
        with pytest.raises(EspalierError, match="the results of the study of trained networks"):
            Results.from_json(text.replace("0.154", "0.151"))

    def test_the_page_says_what_is_met_and_missed_and_cut(self) -> None:
        """By how much, by which version; which seeds and networks are not there."""
        text = page(RESULTS, render(RESULTS))
        assert "| resnet8 | float | at most 16.00 % | 15.20 %: met | dense, float |" in text
        assert (
            "| half of the multiplications gone | at most +1.00 % | +2.00 %: missed by 1.00 % | kernel@8, float |"
            in text
        )
        assert "| 3-bit weights and signals | at most +0.80 % | not trained |" in text
        assert "Of 297 versions 6 are trained." in text
        assert "resnet20: of 13 versions 13 in no seeds." in text
        assert "resnet8: of 57 versions 53 in no seeds, 2 in 1 seed, 2 in 2 seeds." in text
        row = "| dense | 4/4 | 5 | 0.0% | 0.0% | 4.00 | 2,000 | 2 | 15.50 % (15.20 % to 15.80 %) | +0.30 % |"
        assert row in text
        assert "cycles.png" in text
        assert "bfloat16" not in text
        halved = replace(
            RESULTS, versions=(*RESULTS.versions[:-1], replace(RESULTS.versions[-1], precision="bfloat16"))
        )
        assert "were of bfloat16 for resnet8, else of float32." in page(halved, [])


class TestEqualCycles:
    @pytest.mark.parametrize("pattern", ["kernel@8", "feature-map"])
    def test_the_least_ratio_that_suffices(self, pattern: str) -> None:
        """Cycles are at most the share, and above it with one step less; layers keep their proportions."""
        dense = PrunedNetwork(initialize(ARCHITECTURES["digits"](), np.random.default_rng(0)))
        share = 0.7
        usual = {pattern: {"conv2": 0.25, "conv3": 0.5}} if pattern == "feature-map" else {pattern: 1.0}
        found = ratios_within(dense, pattern, usual, share)[pattern]
        highest = found["conv3"] if isinstance(found, dict) else found
        assert isinstance(highest, float)
        if isinstance(found, dict):
            assert found["conv2"] == pytest.approx(highest / 2)
        less = ratios_within(dense, pattern, usual, 1.0)[pattern]
        assert less != found
        assert cycles_at(dense, pattern, found, 0) <= share * cycles_of(of_floats(dense))
        assert cycles_at(dense, pattern, found, 1 / STEPS) > share * cycles_of(of_floats(dense))

    def test_a_share_that_no_ratio_reaches(self) -> None:
        """The first and the last layer stay whole, so that a network cannot take a hundredth."""
        dense = PrunedNetwork(initialize(ARCHITECTURES["digits"](), np.random.default_rng(0)))
        with pytest.raises(EspalierError, match="kernel@8 cannot take 99% of the cycles away"):
            ratios_within(dense, "kernel@8", {"kernel@8": 1.0}, 0.01)

    def test_the_page_says_which_pattern_to_take(self) -> None:
        """Validation images choose; calibrated versions have a table of their own and are not in the others."""
        versions = [version(DENSE, 0, 0, 0.1, 0.1, "lenet5"), version(DENSE, 8, 0, 0.1, 0.123, "lenet5")]
        for pattern, validation, test in (("kernel", 0.11, 0.14), ("ikss", 0.12, 0.13)):
            made = version(pattern, 0, 0, validation, test, "lenet5")
            versions.append(replace(made, task=replace(made.task, cycles=65)))
        results = replace(RESULTS, versions=tuple(versions))
        text = page(results, render(results))
        assert "the one to take is `kernel`: chosen by validation images, 14.00 % on test images; ikss 13.00 %." in text
        assert "| error, calibrated alone | 8 bits |" in text
        assert "| dense | 12.30 % |" in text
        assert "| kernel, 65 % of the cycles | float |" in text
        assert "dense | 8/8" not in text
        assert "equal_cycles.png" in text
        assert "the one to take" not in page(replace(results, versions=tuple(versions[:3])), [])


def cycles_at(dense: PrunedNetwork, pattern: str, ratio: Ratio, less: float) -> int:
    """Return the cycles where the highest ratio of a version is so much lower."""
    numbers = dict(ratio) if isinstance(ratio, Mapping) else ratio
    if isinstance(numbers, dict):
        factor = 1 - less / max(numbers.values())
        numbers = {name: x * factor for name, x in numbers.items()}
    else:
        numbers -= less
    return cycles_of(of_floats(prune(dense, pattern, {pattern: numbers})))


def test_what_is_kept_is_laid_out_again_and_the_zoo_lists_its_own(tmp_path: Path) -> None:
    """Files of the first seed's floats lie in the zoo, others beside the study; what is there already stays."""
    work, other = Place(tmp_path / "work", {}), Place(tmp_path / "other", {})
    kept, shipped = tmp_path / "kept", tmp_path / "zoo"
    shipped.mkdir()
    dense = PrunedNetwork(initialize(ARCHITECTURES["resnet8"](), np.random.default_rng(0)), data="cifar-10")
    done = [Task("resnet8", 0), Task("resnet8", 1), Task("resnet8", 0, bits=4), Task("lenet5", 0)]
    for folder in (work.folder, other.folder):
        folder.mkdir()
    for number, task in enumerate(done):
        dense.save(work.path(task))
        work.record(task).write_text(json.dumps({"error_rates": {"validation": number / 8, "test": number / 4}}))
    wanted = [*done, Task("lenet5", 1)]
    assert keep(wanted, work, kept, shipped) == [task.stem for task in done]
    assert {path.name for path in kept.glob("*.espalier")} == {work.path(task).name for task in done[1:]}
    rows = json.loads((shipped / "resnet8" / "zoo.json").read_text())["files"]
    assert [(row["pattern"], row["file"], row["test_error_rate"]) for row in rows] == [(DENSE, "dense.espalier", 0.0)]
    other.record(done[3]).write_text("of another training")
    restore(wanted, other, kept, shipped)
    assert other.path(done[0]).read_bytes() == work.path(done[0]).read_bytes()
    assert {path.name for path in other.folder.iterdir()} == {
        *(path.name for task in done[:3] for path in (other.path(task), other.record(task))),
        other.record(done[3]).name,
    }
    assert other.record(done[3]).read_text() == "of another training"


def write_cifar(folder: Path, images: int) -> None:
    """Write so many images of noise into each file of CIFAR-10."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for name in (*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin"):
        records = rng.integers(256, size=(images, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (folder / name).write_bytes(records.tobytes())


@pytest.mark.slow
def test_versions_are_trained_once_and_judged(tmp_path: Path) -> None:
    """Each is made of what it needs; a second run, or one without time, trains nothing; the engine judges Programs.

    The dense network is its own teacher in a second cycle.
    """
    write_cifar(tmp_path / "cifar-10-batches-bin", 12)
    dense = Task("resnet20", 0)
    pruned = replace(dense, pattern="kernel@8")
    wanted = [dense, pruned, replace(pruned, bits=4), replace(pruned, cycles=90), replace(dense, bits=6)]
    place = Place(tmp_path / "work", {"resnet20": Epochs(1, 2, 1)}, str(tmp_path), "cpu")
    place.folder.mkdir()
    assert not run(wanted, place, limit_seconds=1e-9)
    assert list(place.folder.iterdir()) == []
    with pytest.raises(EspalierError, match="holds no version that is finished"):
        judged(wanted, place)
    assert run(wanted, place)
    made = {path: path.read_bytes() for path in place.folder.glob("*.*")}
    assert {path.name for path in made} == {f"{task.stem}.{x}" for task in wanted for x in ("espalier", "json")}
    assert run(wanted, place)
    assert {path: path.read_bytes() for path in place.folder.glob("*.*")} == made
    network, program = PrunedNetwork.load(place.path(pruned)), Program.load(place.path(wanted[2]))
    results = judged(wanted, place)
    kept = [network.kept_weights, sum(int(x.kept.sum()) for x in program.mac_layers)]
    assert [x.weights for x in results.versions[1:3]] == kept == kept[:1] * 2
    assert [(x.epochs, x.emulated_images) for x in results.versions] == [(3, 0), (2, 0), (1, 12), (2, 0), (0, 12)]
    cycles = [x.cycles for x in results.versions]
    assert cycles[1] == cycles[2] < cycles[3] <= 0.9 * cycles[0] < cycles[4] == cycles[0]
    assert judged(wanted, place) == results

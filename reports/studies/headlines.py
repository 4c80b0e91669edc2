"""The one sentence of each study for who reads no more: numbers from its own results, chosen by a rule that is said."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import Any

from accel.cost.predictor import model
from accel.errors import reading
from accel.files import read_whole
from accel.interchange.zoo import DENSE
from accel.records import parse_json, record_of, text_of, unsealed
from reports.optimize.results import Results as Optimized
from reports.shared.journal import RESULTS
from reports.shared.schema import saved
from reports.shared.words import kib, percent, share
from reports.studies.bitwidth.definition import L2
from reports.studies.bitwidth.definition import Target as WidthTarget
from reports.studies.bitwidth.results import Results as BitwidthResults
from reports.studies.memory.page import recommended
from reports.studies.memory.results import Results as MemoryResults
from reports.studies.mlperf_tiny.page import quickest
from reports.studies.mlperf_tiny.results import Results as MlperfTinyResults
from reports.studies.predictor.page import headline as off
from reports.studies.predictor.results import Results as SweepResults
from reports.studies.pruning.definition import Target
from reports.studies.pruning.results import Results as PruningResults
from reports.studies.silicon.page import headline as in_gates
from reports.studies.silicon.results import Results as SiliconResults
from reports.studies.trained.results import Results as TrainedResults

Headline = Callable[[Path], str]  # from the folder of a study
RISE = 0.005  # of the error rate on the validation images, where a study has no target


def pruning(folder: Path) -> str:
    """Return the sparsest outcome of a target, or, of patterns on an array, the fewest cycles within `RISE`."""
    results = saved(folder / RESULTS, PruningResults.from_json)
    if results.compared:
        labels = {group.task.granularity for group, _ in results.priced}
        able = [found for label in sorted(labels) if (found := results.quickest(label, RISE))]
        if not able:
            return "no pattern errs as little as that on fewer cycles"
        quickest, cost = min(able, key=lambda pair: pair[1].cycles)
        share = cost.cycles / results.costs[DENSE].cycles
        rise = _rise(results.rise(quickest))
        return f"`{quickest.task.granularity}` takes {share:.1%} of the dense network's cycles at {rise}"
    targets = [record_of(Target, record) for record in results.definition["targets"]]
    nearest = [(target, group) for target in targets if (group := results.nearest(target))]
    met = sum(results.rise(group) <= target.rise + 1e-12 for target, group in nearest)
    target, group = min(nearest, key=lambda pair: results.rise(pair[1]))
    names = results.convolutions if target.convolutions else ()
    return (
        f"{met} of {len(targets)} targets met; `{group.task.granularity}` without {group.sparsity(names):.1%} of "
        f"{'the weights of convolutions' if names else 'all weights'}: {_rise(results.rise(group))}"
    )


def bitwidth(folder: Path) -> str:
    """Return the outcome of the first target; else the fewest bits of the dense network within `RISE`, untrained."""
    results = saved(folder / RESULTS, BitwidthResults.from_json)
    for target in (record_of(WidthTarget, record) for record in results.definition["targets"]):
        rise, _, _, smaller = results.outcome(target)
        widths = f"{target.weight_bits}-bit weights, {target.signal_bits}-bit signals"
        return f"`{target.pattern}`, {widths}: {smaller:.1f} times smaller than dense 32-bit, {_rise(rise)}"
    rates, found = results.float_rates[DENSE], results.uniform(DENSE, L2)
    for (bits, signal_bits), (point, *_) in sorted(found.items()):
        if bits == signal_bits and point.values["rates"]["validation"] <= rates["validation"] + RISE:
            return f"`{DENSE}` needs {bits} bits without retraining: {_rise(point.error_rate - rates['test'])}"
    return f"`{DENSE}` needs more bits than were tried"


def bench(folder: Path) -> str:
    """Return the engine's speed on the first network, dense, one thread, beside onnxruntime's best."""
    network = _record(folder / RESULTS)["networks"][0]
    speeds: dict[str, float] = {}
    for entry in network["entries"]:
        if (entry["pattern"], entry["threads"]) == (DENSE, 1):
            speed = entry["images"] / median(entry["seconds"])
            speeds[entry["runtime"]] = max(speed, speeds.get(entry["runtime"], 0))
    best = max(speed for runtime, speed in speeds.items() if runtime.startswith("onnxruntime"))
    ours = speeds["espalier"]
    return f"{network['network']}: {ours:,.0f} images/s on one thread, {ours / best:.1f} times onnxruntime's best"


def exploration(folder: Path) -> str:
    """Return what is recommended."""
    found = _record(folder / RESULTS)["verified"]
    estimate = found["estimate"]
    return f"`{estimate['pattern']}`: {estimate['cycles']:,} cycles an image, {percent(found['test_rate'])} error"


def optimization(folder: Path) -> str:
    """Return what was chosen, or how near anything came."""
    results = saved(folder / RESULTS, Optimized.from_json)
    asked = results.asked
    if results.chosen is None:
        return f"nothing that was tried is within {kib(asked.memory_bits or 0)} KiB and {percent(asked.limit)} errors"
    found, tested = results.versions[results.chosen], results.test_error_rates
    return f"{found.cycles:,} cycles, {kib(found.memory_bits)} KiB, {percent(tested['chosen'])} errors on test images"


def question(folder: Path) -> str:
    """Return how many answers hold."""
    rows = _record(folder / RESULTS)["seeds"].values()
    return f"{sum(row['holds'] for row in rows)} of {len(rows)} answers hold on test images, which decided nothing"


def quantizer(folder: Path) -> str:
    """Return how many classes agree at least where multipliers of 32 bits make codes exact, and how far codes are."""
    rows = [row for case, row in _record(folder / RESULTS)["cases"].items() if case.endswith(", 32 bits")]
    least = min(rows, key=lambda row: row["agreeing"] / row["images"])
    largest = max(part["largest"] for row in rows for part in row["alone"])
    agreeing = share(least["agreeing"], least["images"])
    return f"32 bits: at least {agreeing} of classes agree; a layer's codes differ by at most {largest}"


def report(folder: Path) -> str:
    """Return the version of fewest bits of memory whose validation error is within `RISE` of the dense float one."""
    record = _record(folder / RESULTS)
    most = record["float_dense_validation_error_rate"] + RISE
    memory = "weight", "index", "bias", "requantize", "signal"
    able = [
        (sum(point[f"{part}_memory_bits"] for part in memory), point)
        for point in record["points"]
        if point["validation_error_rate"] <= most
    ]
    bits, point = min(able, key=lambda pair: pair[0])
    rise = point["error_rate"] - record["float_dense_error_rate"]
    widths = f"{point['weight_bits']}-bit weights, {point['signal_bits']}-bit signals"
    return f"`{point['pattern']}`, {widths}: {bits / 8192:.1f} KiB, {_rise(rise)} over dense float"


def features(folder: Path) -> str:
    """Return the feature that saves the largest share of the cycles, in the mean over the versions."""
    record = _record(folder / RESULTS)
    rows, builds = record["cycles"].values(), record["builds"]
    shares = {
        name: fmean(row["all"]["cycles"] / row["without"][name]["cycles"] for row in rows)
        for name in builds
        if name != "all"
    }
    best = min(shares, key=lambda name: shares[name])
    cost = builds["all"]["lut"] - builds[best]["lut"]
    return f"`{best}` saves most: {shares[best]:.3f} of the cycles for {cost:,} LUT"


def mutation(folder: Path) -> str:
    """Return the mutation score."""
    record = _record(folder / "mutation.json")
    noticed = f"{record['killed']:,} of {record['mutants']:,} planted errors noticed"
    return f"{record['score']:.1%}: {noticed}, {record['equivalent']:,} proven to change nothing"


def flipped_bits(folder: Path) -> str:
    """Return how many flipped bits were noticed and located, and how many are explained."""
    rows = _record(folder / "flips.json")["flips"]
    located = sum(row["located"] == row["layer"] for row in rows)
    reasons = sum(bool(row["reason"]) for row in rows)
    noticed = f"{sum(row['noticed'] for row in rows):,} of {len(rows):,} noticed"
    return f"{noticed}, {located:,} located in their layer; {reasons:,} change nothing, for a reason that was checked"


def published(folder: Path) -> str:
    """Return how many rows of the first table are equal to what was published: the tables are the results."""
    text = read_whole(folder / "README.md", 1 << 20).decode()
    rows = [line.strip("| ").split(" | ")[-2:] for line in text.split("\n## ")[1].splitlines() if line[:2] == "| "]
    numbers = [row for row in rows if all(re.fullmatch(r"[\d,]+", cell) for cell in row)]
    return f"{sum(a == b for a, b in numbers)} of {len(numbers)} cycle counts of SCALE-Sim, exactly"


def referees(folder: Path) -> str:
    """Return how many products or layers are equal: the tables are the results."""
    text = read_whole(folder / "README.md", 1 << 20).decode()
    found = re.search(r"\*\*(.*) (products|layers) are equal", text)
    assert found is not None
    if found[2] == "layers":
        return f"{found[1]} layers take a cycle of Eyeriss v2's PE for each effective MAC, exactly"
    return f"{found[1]} products of matrices as in SCALE-Sim, cycles, reads and writes exactly"


def synthesis(folder: Path) -> str:
    """Return the size and clock of the first array that was built."""
    name, build = next(iter(_record(folder / RESULTS)["builds"].items()))
    return f"{name}: {build['lut']:,} LUT, {build['dsp']} multipliers, {build['mhz']:.1f} MHz"


def verification(folder: Path) -> str:
    """Return how many images of how many Programs were simulated, simulator by simulator, and the errors."""
    programs = _record(folder / RESULTS)["programs"].values()
    images, errors = Counter[str](), 0
    for program in programs:
        for name, run in program.items():
            if name != "digest":
                images[name] += run["images"]
                errors += run["errors"]
    return f"{len(programs)} Programs, {' + '.join(f'{n:,}' for n in images.values())} images, {errors:,} errors"


def mlperf_tiny(folder: Path) -> str:
    """Return the pattern that takes the fewest cycles of each network with half of its work gone."""
    return quickest(saved(folder / RESULTS, MlperfTinyResults.from_json))


def memory(folder: Path) -> str:
    """Return the memories that are recommended for the dense networks at 8 bits."""
    return recommended(saved(folder / RESULTS, MemoryResults.from_json))


def predictor(folder: Path) -> str:
    """Return how far off the predictor that is shipped is of arrays that had no part in its fit."""
    _ = saved(folder / RESULTS, SweepResults.from_json)
    return off(model())


def silicon(folder: Path) -> str:
    """Return what a pruned network takes of the dense one's energy in gates, and how far off the estimate is."""
    return in_gates(saved(folder / RESULTS, SiliconResults.from_json))


def trained(folder: Path) -> str:
    """Return how many targets are met of those whose versions are trained, and how many wait."""
    verdicts = saved(folder / RESULTS, TrainedResults.from_json).verdicts()
    judged = [verdict for verdict in verdicts if verdict.found is not None]
    met = sum(verdict.found <= verdict.asked for verdict in judged if verdict.found is not None)
    waiting = len(verdicts) - len(judged)
    return f"{met} of {len(judged)} targets met" + (f", {waiting} wait for their trainings" if waiting else "")


def _record(path: Path) -> dict[str, Any]:
    """Return what a file of results says; raise EspalierError if it has a digest and was changed."""
    with reading(path):
        record = record_of(dict[str, Any], parse_json(text_of(path)), path.name)
        return unsealed(record) if "sha256" in record else record


def _rise(rate: float) -> str:
    return f"{100 * rate:+.2f} % errors"

"""An exploration from beginning to end: versions made, error rates measured, designs costed, one of them chosen."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from accel.cost import Counts, Limits, Technology
from accel.digest import digest_of
from accel.interchange import zoo
from accel.interchange.data.datasets import Dataset
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration
from reports.explore.choosing import Means, means_of
from reports.explore.kept import Kept
from reports.explore.mixed import Allocating, Mix, allocated, mixes_of
from reports.explore.points import FACT_IMAGES, Costing, Point, Rates, costed
from reports.explore.results import Results, Verified, VersionRow
from reports.explore.space import Lanes, Question, Space
from reports.explore.trials import FLOAT, Trial, measured
from reports.explore.versions import Making, Version, control_of, made, problem_of
from reports.shared.progress import bar
from reports.shared.workers import Run
from reports.workflow.delivery import Delivery, delivered
from reports.workflow.delivery import Making as Made
from reports.workflow.images import Images
from reports.workflow.limits import CONFIDENCE, Guard
from reports.workflow.lowering import lowered
from reports.workflow.sources import Source
from reports.workflow.verdicts import record

Bits = tuple[int, int, str]  # of a weight, of a signal, of single layers


@dataclass(frozen=True, eq=False)
class Plan:
    """What to explore, everything loaded and checked.

    Parameters
    ----------
    network : str
        As the command names it.
    versions : tuple of Version
        The one that the others are compared with first.
    space : Space
    question : Question
    calibration, validation, test : Dataset
    training : Dataset or None
        To retrain the versions that are made; None: they are not retrained.
    epochs : int
    recipe : str
        How they are retrained.
    technology : Technology
    limits : Limits
    source : Source
        Where workers find the images.
    data : str or None
        As the command was given it.
    evaluations : int
        Of each version's search for bits of single layers; 0 for none.
    """

    network: str
    versions: tuple[Version, ...]
    space: Space
    question: Question
    calibration: Dataset
    validation: Dataset
    test: Dataset
    training: Dataset | None
    epochs: int
    recipe: str
    technology: Technology
    limits: Limits
    source: Source
    data: str | None = None
    evaluations: int = 0

    @cached_property
    def means(self) -> Means:
        """What the technology has of everything."""
        return means_of(self.technology)

    @cached_property
    def named(self) -> dict[str, Images]:
        """The images by which workers know each split."""
        return {x.split: Images.of(x) for x in (self.calibration, self.validation, self.test)}

    def making(self, version: Version, dense: bytes) -> Making:
        """Return how a version is made."""
        what = digest_of(dense), version.pattern, version.ratio
        if self.training is None:
            return Making(*what, epochs=0, recipe="", training=None)
        images = Images.of(self.training)
        return Making(*what, self.epochs, self.recipe, images, version.trainings)

    def trial(
        self, network: bytes, split: str, weight_bits: int = FLOAT, signal_bits: int = FLOAT, layers: str = ""
    ) -> Trial:
        """Return the trial of a network at word lengths, in float by default."""
        images = self.named[self.calibration.split], self.named[split]
        return Trial(digest_of(network), *images, weight_bits, signal_bits, self.space.input_bits, layers=layers)

    def allocating(self, network: bytes, reference: float) -> Allocating:
        """Return the search for bits of single layers that err no more than may be, if the reference errs so often."""
        images = self.named[self.calibration.split], self.named[self.validation.split]
        most = self.question.budget(reference).error_rate
        asked = self.question.confidence
        guard = Guard(len(self.validation), CONFIDENCE if asked is None else asked)
        if asked is None and guard.upper(reference) > most:
            guard = replace(guard, confidence=0.0)  # as `Decision` has it where images are too few
        weights, signals = ((min(x), max(x)) for x in (self.space.weight_bits, self.space.signal_bits))
        budget = self.space.input_bits, self.evaluations
        return Allocating(digest_of(network), *images, guard.lower(most), weights, signals, *budget)


@dataclass(frozen=True, eq=False)
class Explored:
    """What an exploration found.

    Parameters
    ----------
    results : Results
    seconds : float
        That costing took.
    delivery : Delivery or None
        What is recommended, as files.
    """

    results: Results
    seconds: float
    delivery: Delivery | None = None


@dataclass(frozen=True, eq=False)
class Survey:
    """Everything that was measured and costed, before anything is looked at closely.

    Parameters
    ----------
    plan : Plan
    networks : mapping of Version to bytes
        Of those that there are, `PrunedNetwork.to_bytes`.
    costings : mapping of Version to Costing
    rates : mapping of Version to Rates
    mixes : mapping of Version to sequence of Mix
        Bits of single layers; none where nobody asked for them.
    results : Results
        Without the test images.
    seconds : float
        That costing took.
    """

    plan: Plan
    networks: Mapping[Version, bytes]
    costings: Mapping[Version, Costing]
    rates: Mapping[Version, Rates]
    mixes: Mapping[Version, Sequence[Mix]]
    results: Results
    seconds: float

    def version(self, name: str) -> Version:
        """Return the version of that name."""
        return next(version for version in self.networks if version.name == name)


def explore(plan: Plan, kept: Kept) -> Explored:
    """Return what is found; error rates that are kept are not measured again."""
    return concluded(surveyed(plan, kept), kept)


def surveyed(plan: Plan, kept: Kept) -> Survey:
    """Return what there is to choose from."""
    networks = _networks(plan, kept)
    there = {version: network for version, network in networks.items() if problem_of(network) is None}
    rates = _rates(plan, kept, there)
    mixes = _mixes(plan, kept, there, rates)
    start = time.perf_counter()
    costings = {version: _costing(plan, version, network) for version, network in there.items()}
    found = _costed(plan, there, rates, mixes, kept.run)
    points = tuple(point for version in there for point in found[version][0])
    rows = tuple(
        _row(plan, version, costings[version].pruned, found[version][1], rates)
        if version in there
        else VersionRow(version.name, version.pattern, problem_of(network) or "", left_out=True)
        for version, network in networks.items()
    )
    seconds = time.perf_counter() - start
    question = plan.question
    results = Results(
        network=costings[plan.versions[0]].pruned.network.name,
        data=plan.test.name,
        command=question.command,
        images={split: images.count for split, images in plan.named.items()},
        max_error=question.max_error,
        budget=question.budget(rows[0].float_rate),
        goal=question.goal,
        dram_bytes_per_s=plan.limits.dram_bytes_per_s,
        means=plan.means,
        space=plan.space,
        versions=rows,
        points=points,
        confidence=question.confidence,
        band=question.band,
    )
    return Survey(plan, there, costings, rates, mixes, results, seconds)


def concluded(survey: Survey, kept: Kept) -> Explored:
    """Return what is recommended of a survey, judged by the test images, with its files."""
    results, plan = survey.results, survey.plan
    chosen = results.recommended
    if chosen is None:
        return Explored(results, survey.seconds)
    version = survey.version(chosen.version)
    bits = chosen.weight_bits, chosen.signal_bits, chosen.layers
    test_rate, reference_rate = tested(survey, kept, version, bits)
    estimate = record(survey.costings[version].estimate_at(chosen, survey.rates[version], survey.mixes[version]))
    results = replace(results, verified=Verified(test_rate, reference_rate, estimate))
    return Explored(results, survey.seconds, design_files(survey, version, bits, chosen.lanes, plan.question.command))


def design_files(survey: Survey, version: Version, bits: Bits, lanes: Lanes, command: str) -> Delivery:
    """Return a version at word lengths as files, in the order for its lanes; `command` chose it."""
    plan = survey.plan
    epochs = plan.epochs if version.made and plan.training is not None else 0
    how = Made(plan.network, version.pattern, version.ratio, version.made, epochs, version.trainings)
    pruned = PrunedNetwork.from_bytes(survey.networks[version])
    widths = survey.costings[version].widths(*bits)
    program = lowered(Calibration(pruned, plan.calibration.pixels()), widths)
    return delivered(how, pruned, program, bits, lanes, plan.source, plan.data, command)


def _networks(plan: Plan, kept: Kept) -> dict[Version, bytes]:
    """Return each version, or what `problem_of` understands."""
    first = plan.versions[0]
    dense = zoo.load(plan.network).to_bytes()
    makings = {version: plan.making(version, dense) for version in plan.versions if version.made}
    calls = {making.key: (making, dense, plan.source) for making in makings.values()}
    new = kept.results(f"{plan.network}: versions", made, calls) if calls else {}
    found = {}
    for version in plan.versions:
        if version in makings:
            found[version] = new[makings[version].key]
        else:
            found[version] = dense if version == first else zoo.load(plan.network, version.pattern).to_bytes()
    return found


def _rates(plan: Plan, kept: Kept, networks: Mapping[Version, bytes]) -> dict[Version, Rates]:
    """Return what the trials of each version gave; `FLOAT` both is the network before quantisation."""
    pairs = [(FLOAT, FLOAT), *plan.space.widths()]
    trials = {
        (version, pair): plan.trial(network, plan.validation.split, *pair)
        for version, network in networks.items()
        for pair in pairs
    }
    calls = {trial.key: (trial, networks[version], plan.source) for (version, _), trial in trials.items()}
    values = kept.results(f"{plan.network}: error rates", measured, calls)
    return {version: {pair: json.loads(values[trials[version, pair].key]) for pair in pairs} for version in networks}


def _mixes(
    plan: Plan, kept: Kept, networks: Mapping[Version, bytes], rates: Mapping[Version, Rates]
) -> dict[Version, Sequence[Mix]]:
    """Return bits of single layers of each version, as far as any were asked for."""
    if not plan.evaluations:
        return dict.fromkeys(networks, ())
    reference = rates[plan.versions[0]][FLOAT, FLOAT]["rate"]
    asked = {version: plan.allocating(network, reference) for version, network in networks.items()}
    calls = {asked[version].key: (asked[version], network, plan.source) for version, network in networks.items()}
    found = kept.results(f"{plan.network}: bits of layers", allocated, calls)
    return {version: mixes_of(found[one.key]) for version, one in asked.items()}


def _costing(plan: Plan, version: Version, network: bytes) -> Costing:
    pruned = PrunedNetwork.from_bytes(network)
    return Costing(version.name, pruned, plan.calibration, plan.space.input_bits, plan.technology, plan.limits)


def _costed(
    plan: Plan,
    networks: Mapping[Version, bytes],
    rates: Mapping[Version, Rates],
    mixes: Mapping[Version, Sequence[Mix]],
    run: Run,
) -> dict[Version, tuple[list[Point], Counts]]:
    """Return the points of each version, and what its masks count, version by version by whoever is free."""
    facts = plan.calibration.take(min(FACT_IMAGES, len(plan.calibration)))
    shared = facts, plan.space.input_bits, plan.technology, plan.limits, plan.space
    versions = [*networks]
    calls = [(version.name, networks[version], *shared, rates[version], mixes[version]) for version in versions]
    found = {}
    with bar(f"{plan.network}: designs", len(calls)) as shown:
        for number, points in run(costed, calls):
            found[versions[number]] = points
            shown.advance(versions[number].name)
    return found


def _row(
    plan: Plan, version: Version, pruned: PrunedNetwork, total: Counts, rates: Mapping[Version, Rates]
) -> VersionRow:
    how = "file" if zoo.is_file(plan.network) else "zoo"
    control = ""
    if version.trainings:
        how = "retrained"
    elif version.made:
        how = "pruned" if plan.training is None else "pruned and retrained"
        control = control_of(version) if plan.training is not None else ""
    counts = pruned.sparsity, pruned.kept_weights, total.macs, total.index_memory_bits
    rate = rates[version][FLOAT, FLOAT]["rate"]
    ratio = version.ratio if version.made else None
    row = VersionRow(version.name, version.pattern, how, *counts, rate)
    return replace(row, control=control, ratio=ratio, rounds=version.trainings)


def tested(survey: Survey, kept: Kept, version: Version, bits: Bits) -> tuple[float, float]:
    """Return the error rates of a version at word lengths and of the reference, on the test images."""
    plan, networks = survey.plan, survey.networks
    split = plan.test.split
    asked = [(networks[version], bits), (networks[plan.versions[0]], (FLOAT, FLOAT, ""))]
    trials = [(network, plan.trial(network, split, *pair)) for network, pair in asked]
    calls = {trial.key: (trial, network, plan.source) for network, trial in trials}
    values = kept.results(f"{plan.network}: test images", measured, calls)
    mine, reference = (float(json.loads(values[trial.key])["rate"]) for _, trial in trials)
    return mine, reference

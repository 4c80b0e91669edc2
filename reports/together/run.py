"""An exploration of several networks: each on its own, then the one array that all of them run on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accel.errors import EspalierError
from reports.explore import answer
from reports.explore.kept import Kept
from reports.explore.page import building_of
from reports.explore.run import Explored, Plan, Survey, concluded, design_files, surveyed, tested
from reports.together.designs import FORMATS, Design
from reports.together.families import Combinations, Network, key
from reports.together.results import Miss, OnLanes, Row, Shared
from reports.workflow.delivery import Delivery
from reports.workflow.limits import Limit
from reports.workflow.recommend import LOOSER


@dataclass(frozen=True, eq=False)
class Together:
    """What an exploration of several networks found.

    Parameters
    ----------
    shared : Shared
    explored : tuple of Explored
        What was found of each network alone.
    deliveries : tuple of Delivery
        The chosen design of each network, as files; none if nothing fits.
    """

    shared: Shared
    explored: tuple[Explored, ...]
    deliveries: tuple[Delivery, ...] = ()


def names_of(networks: Sequence[str]) -> tuple[str, ...]:
    """Return what networks are called, and their folders: by their files, numbered where two have one name.

    >>> names_of(["lenet5", "a/net.espalier", "b/net.espalier"])
    ('lenet5', 'net', 'net-2')

    Raises
    ------
    EspalierError
        One is there twice.
    """
    found: list[str] = []
    real = [str(Path(network).resolve()) if Path(network).exists() else network for network in networks]
    for place, network in enumerate(networks):
        if real[place] in real[:place]:
            raise EspalierError(f"{network}: is named twice; an array is shared by networks that differ")
        stem, number = Path(network).stem, 1
        name = stem
        while name.lower() in (other.lower() for other in found):
            number += 1
            name = f"{stem}-{number}"
        found.append(name)
    return tuple(found)


def parse_weights(text: str | None, count: int) -> tuple[float, ...]:
    """Return the share of each network, 1 in all; equal ones for None.

    >>> parse_weights("3,1", 2), parse_weights(None, 2)
    ((0.75, 0.25), (0.5, 0.5))
    """
    if text is None:
        return (1 / count,) * count
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(0 < number <= 1e9 for number in numbers):
        raise EspalierError(f"--shares {text}: expected {count} numbers above 0, one for each network, such as 3,1,1")
    return tuple(number / sum(numbers) for number in numbers)


def explore_together(plans: Sequence[Plan], shares: Sequence[float], command: str, kept: Kept) -> Together:
    """Return the best array for all networks of the plans; error rates that are kept are not measured again.

    Parameters
    ----------
    plans : sequence of Plan
        Of the same question; of each its own images.
    shares : sequence of float
        Of the images that each network gets, 1 in all.
    command : str
        That asks for it.
    kept : Kept
    """
    names = names_of([plan.network for plan in plans])
    surveys = [surveyed(plan, kept) for plan in plans]
    explored = tuple(concluded(survey, kept) for survey in surveys)
    shared, design = _shared(names, surveys, shares, command)
    if design is None:
        return Together(shared, explored)
    rows, deliveries = [], []
    for row, survey, member in zip(shared.networks, surveys, design.members, strict=True):
        version, bits = survey.version(member.version), (member.weight_bits, member.signal_bits, "")
        test_rate, reference_rate = tested(survey, kept, version, bits)
        rows.append(replace(row, test_rate=test_rate, reference_rate=reference_rate))
        deliveries.append(design_files(survey, version, bits, design.lanes, command))
    return Together(replace(shared, networks=tuple(rows)), explored, tuple(deliveries))


def _shared(
    names: Sequence[str], surveys: Sequence[Survey], shares: Sequence[float], command: str
) -> tuple[Shared, Design | None]:
    first = surveys[0].results
    rows = tuple(map(_row, names, surveys, shares))
    shared = Shared(
        command=command,
        max_error=first.max_error,
        goal=first.goal,
        budget=replace(first.budget, error_rate=max(row.most for row in rows)),
        means=first.means,
        networks=rows,
        chosen=None,
        by_lanes=(),
    )
    return _combined(shared, surveys)


def _combined(shared: Shared, surveys: Sequence[Survey]) -> tuple[Shared, Design | None]:
    """Return the best combination; if there is none, what would have to be otherwise."""
    plan = surveys[0].plan
    networks = [_network(survey, row) for survey, row in zip(surveys, shared.networks, strict=True)]
    every = Combinations(networks, plan.space.arrays, plan.technology, plan.limits)
    sizes = sorted({one * other for one, other in plan.space.arrays})
    limits, value = shared.limits, shared.wanted.value
    by_lanes = tuple(OnLanes(lanes=lanes, design=every.best(limits, value, lanes)) for lanes in sizes)
    chosen = min((x.design for x in by_lanes if x.design), key=lambda p: key(value, p), default=None)
    shared = replace(shared, chosen=chosen, by_lanes=by_lanes, combinations=every.count())
    if chosen is not None:
        return replace(shared, binding=_binding(every, shared, chosen)), chosen
    relaxed = _relaxed(every, limits)
    most = [limit for limit in limits if limit.most]
    nearest = every.best((), lambda p: max(limit.share(p) for limit in most))
    return replace(shared, relaxed=relaxed, nearest=nearest), None


def _network(survey: Survey, row: Row) -> Network:
    """Return the designs of a network that meet its limit on errors, or would if it were looser."""
    guard = row.guard
    rates = {version.name: rates for version, rates in survey.rates.items()}
    return Network(
        tuple(survey.costings.values()),
        rates,
        survey.plan.space,
        row.share,
        lambda rate: guard.upper(rate) <= LOOSER * row.most,
    )


def _binding(every: Combinations, shared: Shared, chosen: Design) -> tuple[Miss, ...]:
    """Return the limits of which twice as much would give a better design, that which binds most first."""
    found = []
    value = shared.wanted.value
    for limit in shared.limits:
        if limit.name == FORMATS:
            continue
        looser = [replace(x, most=LOOSER * x.most) if x is limit else x for x in shared.limits]
        best = every.best(looser, value)
        if best is not None and value(best) < value(chosen):
            found.append(Miss(limit=limit.name, factor=value(chosen) / max(value(best), 1e-9), design=best))
    return tuple(sorted(found, key=lambda miss: -miss.factor))


def _relaxed(every: Combinations, limits: Sequence[Limit]) -> tuple[Miss, ...]:
    """Return what one limit would have to be if all others stay, for each with which something fits."""
    found = []
    for limit in limits:
        best = every.best([other for other in limits if other is not limit], limit.share) if limit.most else None
        if best is not None:
            found.append(Miss(limit=limit.name, factor=limit.share(best), design=best))
    return tuple(sorted(found, key=lambda miss: miss.factor))


def _row(name: str, survey: Survey, share: float) -> Row:
    results = survey.results
    return Row(
        name=name,
        network=results.network,
        data=results.data,
        command=results.command,
        share=share,
        images=results.images["validation"],
        float_rate=results.reference.float_rate,
        most=results.budget.error_rate,
        confidence=results.decision.guard.confidence,
        fitting=len(results.fitting),
        designs=len(results.points),
        alone=results.recommended,
        missed=() if results.fitting else tuple(answer.refused(results)[1:]),
        building={row.name: building_of(results, row) for row in results.versions if not row.left_out},
    )

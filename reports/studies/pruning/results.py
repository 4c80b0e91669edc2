"""What a study of pruning found: plain numbers, versioned JSON, and what follows from them by stated rules.

Format history: 1, the first; 2, with a digest; 3, with what settings take on an array.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from itertools import groupby
from statistics import fmean
from typing import Any

import numpy as np

from accel.records import record_of
from accel.sparsity import Mask
from reports.shared.schema import Kind
from reports.studies.pruning.definition import DRAW_NOTHING, MAGNITUDE, Target, Task

KIND = Kind("espalier-pruning-study", 3, "the results of a study of pruning")
DENSE = "dense"  # the setting of which nothing is pruned
_SLACK = 1e-12  # error rates are counts over counts; sums of floats may be off by their last bit


@dataclass(frozen=True)
class Point:
    """One task, measured.

    Parameters
    ----------
    task : Task
    layers : dict of layer name to [kept weights, weights before pruning]
    before, after : dict of split to error rate
        Before and after retraining; `before` is of the images that selectors look at and of all test images, `after`
        of all images of both splits, and None if there was no retraining.
    """

    task: Task
    layers: dict[str, list[int]]
    before: dict[str, float]
    after: dict[str, float] | None

    def sparsity(self, names: tuple[str, ...] = ()) -> float:
        """The share of the weights that is gone, of all layers or of some."""
        kept, total = (sum(x) for x in zip(*(self.layers[name] for name in names or self.layers), strict=True))
        return 1 - kept / total

    @property
    def rates(self) -> dict[str, float]:
        """The error rates that count: after retraining if there was any."""
        return self.before if self.after is None else self.after


@dataclass(frozen=True)
class Group:
    """The points of all seeds of one setting."""

    points: tuple[Point, ...]

    @property
    def task(self) -> Task:
        """The task of the first seed."""
        return self.points[0].task

    @property
    def setting(self) -> str:
        """What goes, as one line of text: granularity and ratios."""
        return f"{self.task.granularity} {json.dumps(self.task.ratios, sort_keys=True)}"

    @property
    def ratio(self) -> float:
        """The ratio that all layers have."""
        return float(next(iter(self.task.ratios.values())))

    def sparsity(self, names: tuple[str, ...] = ()) -> float:
        """The mean share of the weights that is gone."""
        return fmean(point.sparsity(names) for point in self.points)

    def mean(self, split: str = "test") -> float:
        """The mean error rate."""
        return fmean(point.rates[split] for point in self.points)

    def span(self, split: str = "test") -> tuple[float, float]:
        """The lowest and the highest error rate."""
        rates = [point.rates[split] for point in self.points]
        return min(rates), max(rates)


@dataclass(frozen=True)
class OnArray:
    """What one image takes on an array: multiply-accumulates, of kept weights, and cycles."""

    macs: int
    cycles: int


@dataclass(frozen=True)
class Results:
    """Everything that the figures and the page of a study show."""

    network: str
    data: str
    seeds: int
    definition: dict[str, Any]  # the Study
    recipe: str
    dense: dict[str, float]  # error rates of the dense network by split; "selection" for the images of the searches
    images: dict[str, int]  # how many there are of each
    convolutions: tuple[str, ...]
    planned: int  # points of the whole study
    points: tuple[Point, ...]
    pictures: dict[str, dict[str, Any]]  # granularity to layer to packed mask
    array: str = ""  # output lanes x pixel lanes
    costs: dict[str, OnArray] = field(default_factory=dict)  # on it, by setting, and of the dense network

    @cached_property
    def sweep(self) -> tuple[Group, ...]:
        """What was not retrained, seeds together; only points of which all seeds are there."""
        return tuple(_groups(self.points, self.seeds, retrained=False))

    @cached_property
    def retrained(self) -> tuple[Group, ...]:
        """What was pruned and retrained, seeds together; only points of which all seeds are there."""
        return tuple(group for group in self._trained if group.task.granularity != DENSE)

    @cached_property
    def control(self) -> Group | None:
        """The dense network trained on as what is pruned is, if it was."""
        return next((group for group in self._trained if group.task.granularity == DENSE), None)

    @cached_property
    def _trained(self) -> tuple[Group, ...]:
        return tuple(_groups(self.points, self.seeds, retrained=True))

    @property
    def compared(self) -> bool:
        """Whether the study is one of patterns that are trained alike, without a sweep."""
        return not self.definition["sweep"]

    @property
    def pictured(self) -> dict[str, Point]:
        """The point that the masks of each granularity in `pictures` are of."""
        found = {}
        for label in self.pictures:
            task = {"granularity": label, "selector": MAGNITUDE, "seed": 0}
            points = (p for p in self.points if p.after and all(getattr(p.task, key) == task[key] for key in task))
            found[label] = next(points)
        return found

    @property
    def priced(self) -> list[tuple[Group, OnArray]]:
        """Retrained settings of which it is known what they take on the array."""
        return [(group, self.costs[group.setting]) for group in self.retrained if group.setting in self.costs]

    def quickest(self, granularity: str, tolerance: float) -> tuple[Group, OnArray] | None:
        """Return the setting of a granularity that takes the fewest cycles of those that `best` would choose from."""
        able = [
            (group, cost)
            for group, cost in self.priced
            if group.task.granularity == granularity and self.rise(group, "validation") <= tolerance + _SLACK
        ]
        return min(able, key=lambda pair: pair[1].cycles, default=None)

    def floor(self, split: str = "test") -> float:
        """The error rate above which others rise: of the dense network, trained on as they are if it was."""
        return self.control.mean(split) if self.control else self.dense[split]

    def rise(self, group: Group, split: str = "test") -> float:
        """The mean error rate over that of the dense network."""
        return group.mean(split) - self.floor(split)

    def best(self, granularity: str, tolerance: float) -> Group | None:
        """Return the sparsest setting of a granularity whose mean error rate rises by at most `tolerance`.

        The rise that decides is that on the validation images; the test images only tell what it is worth.
        """
        good = [
            group
            for group in self.retrained
            if group.task.granularity == granularity and self.rise(group, "validation") <= tolerance + _SLACK
        ]
        return max(good, key=lambda group: group.sparsity(), default=None)

    def nearest(self, target: Target) -> Group | None:
        """Return, of the settings that are as sparse as a target asks for, that with the lowest validation error."""
        names = self.convolutions if target.convolutions else ()
        able = [
            group
            for group in self.retrained
            if (not target.granularities or group.task.granularity in target.granularities)
            and group.sparsity(names) >= target.least - _SLACK
        ]
        return min(able, key=lambda group: group.mean("validation"), default=None)

    def to_json(self) -> str:
        """Return the results as versioned JSON, a point a line."""
        head = {x.name: getattr(self, x.name) for x in fields(self) if x.name != "points"}
        head["costs"] = {setting: asdict(cost) for setting, cost in self.costs.items()}
        return KIND.written(head, points=map(asdict, self.points))

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return the results that `to_json` wrote; raises EspalierError if they are something else."""
        return KIND.read(text, lambda record: record_of(cls, record))


def _groups(points: tuple[Point, ...], seeds: int, retrained: bool) -> Iterator[Group]:
    chosen = [point for point in points if (point.after is not None) == retrained]
    for _, members in groupby(chosen, key=lambda point: point.task.key.replace(f'"seed": {point.task.seed}', "")):
        group = Group(tuple(members))
        alone = not retrained and group.task.selector in DRAW_NOTHING
        if len(group.points) == (1 if alone else seeds):
            yield group


def packed(mask: Mask) -> dict[str, Any]:
    """Return a mask (M, C, T) as text that JSON can hold."""
    data = zlib.compress(np.packbits(mask).tobytes(), 9)
    return {"shape": list(mask.shape), "bits": base64.b64encode(data).decode()}


def unpacked(record: Mapping[str, Any]) -> Mask:
    """Return the mask that `packed` packed.

    >>> bool((unpacked(packed(np.eye(3, dtype=bool)[None])) == np.eye(3, dtype=bool)).all())
    True
    """
    bits = np.frombuffer(zlib.decompress(base64.b64decode(record["bits"])), np.uint8)
    shape = tuple(record["shape"])
    return np.unpackbits(bits, count=int(np.prod(shape))).astype(bool).reshape(shape)

"""What a selector is tried with, and a search with a budget: it remembers the best, and goes on where it was stopped.

Everything that decides how a search goes on is in its checkpoint, the state of the random generator included, so that a
search that was stopped and resumed gives what an uninterrupted one gives. The error rate is the caller's function; that
it is the same function again is the caller's to see to.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from accel import archive
from accel.budget import Budget, check_budget
from accel.digest import digest_of, network_parts
from accel.errors import EspalierError
from accel.layers import Array
from accel.progress import Listener
from accel.prune.genome import Genes, Genome
from accel.prune.space import Ratio, Space
from accel.sparsity import LayerMask

DEFAULT_BUDGET = 100  # evaluations; CP finds 100 random masks enough up to a ratio of 40 %
KIND = "mask search"

ErrorRate = Callable[[Mapping[str, LayerMask]], float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """What a selector is given beside the space and the ratio; each takes what it needs.

    Parameters
    ----------
    error_rate : function, optional
        From masks to an error rate (0..1), on a validation set: `accel.prune.Evaluator`.
    generator : numpy Generator, optional
        Where everything that is drawn comes from: the same seed gives the same masks.
    budget : int
        Evaluations of `error_rate` in all, at least 1.
    images : float32 array (N, maps, height, width), optional
        A validation set without labels.
    checkpoint : Path, optional
        Written by searches as they go; one that was stopped goes on from there, with the same result.
    progress : function, optional
        Called with a `Progress` after each evaluation.

    Raises
    ------
    EspalierError
        The budget is less than 1.
    """

    error_rate: ErrorRate | None = None
    generator: np.random.Generator | None = None
    budget: int = DEFAULT_BUDGET
    images: Array | None = None
    checkpoint: Path | None = None
    progress: Listener | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", check_budget(self.budget))

    def generator_for(self, name: str) -> np.random.Generator:
        """Return the generator; raise EspalierError, naming the selector `name`, if there is none."""
        if self.generator is None:
            raise EspalierError(f"{name}: needs a random generator")
        return self.generator


NOTHING = Trial()  # for selectors that need nothing


class Selector(ABC):
    """A way to choose what goes: a frozen dataclass of its own parameters, called with a space, a ratio and a trial."""

    name: ClassVar[str]
    """What it is called on the command line and in reports."""
    searches: ClassVar[bool] = False
    """Whether it judges masks by their error rate, and so spends the budget of the trial."""
    draws: ClassVar[bool] = True
    """Whether it draws from the generator of the trial, so that another seed gives other masks."""

    @abstractmethod
    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> dict[str, LayerMask]:
        """Return masks of all layers of `space`.

        Parameters
        ----------
        space : Space
        ratio : float or mapping of layer name to float
            Share to prune of the units of the pattern (maps, kernels, blocks, weights), at least 0 and less than 1, met
            to within half a unit. Strided patterns prune as little more as strides allow; N:M have their own ratio.
        trial : Trial

        Raises
        ------
        EspalierError
            A ratio is missing or outside 0..1, or would remove a whole layer; or the trial lacks what is needed.
        """


@dataclass(frozen=True, eq=False)
class State:
    """What a checkpoint holds: which search it is of, how far it was, and what it had found."""

    run: Mapping[str, str]
    evaluations: int
    rng: str
    best: Mapping[str, NDArray[Any]]
    best_rate: float
    particles: tuple[Mapping[str, NDArray[Any]], ...]
    rates: tuple[float, ...]


class MaskSearch:
    """One run of a selector that judges masks by their error rate.

    Parameters
    ----------
    name : str
        The selector's, for messages and for the checkpoint.
    genome : Genome
    ratio : float or mapping
        What `genome` was made for.
    trial : Trial
        Needs an error rate and a generator. Its checkpoint is written by `save`, and read if it is there.
    settings : str
        Whatever else decides how the search goes.

    Raises
    ------
    EspalierError
        Something is missing, or the checkpoint is of another search or no checkpoint.
    """

    def __init__(self, name: str, genome: Genome, ratio: Ratio, trial: Trial, settings: str = "") -> None:
        if trial.error_rate is None:
            raise EspalierError(f"{name}: needs an error rate to judge masks by")
        self.genome, self.generator, self._error_rate = genome, trial.generator_for(name), trial.error_rate
        self._budget = Budget(trial.budget, trial.progress)
        self.best: Genes = {}
        self.particles: list[Genes] = []
        self.rates: list[float] = []
        self._checkpoint = Path(trial.checkpoint) if trial.checkpoint else None
        self._run = fingerprint(genome.space, ratio, self.generator) | {
            "selector": name,
            "budget": str(trial.budget),
            "settings": settings,
        }
        if self._checkpoint:
            self._resume(self._checkpoint)

    @property
    def left(self) -> int:
        """Evaluations that may still be spent."""
        return self._budget.left

    @property
    def best_rate(self) -> float:
        """The lowest error rate so far; infinite before the first."""
        return self._budget.lowest

    def judge(self, genes: Genes) -> float:
        """Return the error rate of `genes`, at the cost of one evaluation; the best so far is remembered.

        Raises
        ------
        EspalierError
            The error rate is not within 0..1.
        """
        before = self.best_rate
        rate = self._budget.spend(lambda: self._error_rate(self.genome.masks(genes)))
        if rate < before:
            self.best = genes
        return rate

    def save(self) -> None:
        """Write the checkpoint, if there is to be one, whole or not at all."""
        if self._checkpoint:
            rng = json.dumps(self.generator.bit_generator.state, default=lambda array: array.tolist())
            particles, rates = tuple(self.particles), tuple(self.rates)
            state = State(self._run, self._budget.spent, rng, self.best, self.best_rate, particles, rates)
            archive.save(self._checkpoint, KIND, state)

    def _resume(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise EspalierError(f"checkpoint {path}: there is no folder {path.parent}")
        if not path.exists():
            return
        try:
            state = archive.load(path, KIND, (State,))
        except OSError as error:
            raise EspalierError(f"checkpoint {path} cannot be read: {error.strerror}") from error
        differing = [name for name in self._run if state.run.get(name) != self._run[name]]
        if differing:
            raise EspalierError(
                f"checkpoint {path} is of another search (other {', '.join(differing)}): "
                "delete it to start anew, or name another file"
            )
        self._budget.spent, self._budget.lowest = state.evaluations, state.best_rate
        self.best = dict(state.best)
        self.particles, self.rates = [dict(genes) for genes in state.particles], list(state.rates)
        self.generator.bit_generator.state = json.loads(state.rng)


def fingerprint(space: Space, ratio: Ratio, rng: np.random.Generator) -> dict[str, str]:
    """Return, in words or digests, what decides how a search of masks goes: equal when it is the same search."""
    return {
        "network": digest_of(*network_parts(space.network)),
        "patterns": json.dumps({name: str(pattern) for name, pattern in space.patterns.items()}),
        "ratio": json.dumps(space.ratios(ratio)),
        "masks of earlier rounds": digest_of(
            *(x for name in sorted(space.within) for x in (name, space.within[name].kept))
        ),
        "seed": digest_of(json.dumps(rng.bit_generator.state, default=lambda array: array.tolist())),
    }

"""A search with a budget: it counts evaluations, remembers the best, and goes on where it was stopped.

Everything that decides how a search goes on is in its checkpoint, the state of the random generator included, so that a
search that was stopped and resumed gives what an uninterrupted one gives. The error rate is the caller's function; that
it is the same function again is the caller's to see to.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel import archive
from accel.digest import digest_of, network_parts
from accel.errors import EspalierError
from accel.progress import Listener, Progress
from accel.prune.genome import Genes, Genome
from accel.prune.space import Ratio
from accel.sparsity import LayerMask

DEFAULT_BUDGET = 100  # evaluations; CP finds 100 random masks enough up to a ratio of 40 %
KIND = "mask search"

ErrorRate = Callable[[Mapping[str, LayerMask]], float]


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


class Search:
    """One run of a selector.

    Parameters
    ----------
    method : str
        The selector's name, for messages and for the checkpoint.
    genome : Genome
    ratio : float or mapping
        What `genome` was made for.
    error_rate : function
        From masks to an error rate, 0..1.
    rng : numpy Generator
    budget : int
        Evaluations that may be spent, at least 1.
    checkpoint : Path, optional
        Written by `save`; read if it is there.
    progress : function, optional
        Called after each evaluation.
    settings : str
        Whatever else decides how the search goes.

    Raises
    ------
    EspalierError
        Something is missing, the budget is less than 1, or the checkpoint is of another search or no checkpoint.
    """

    def __init__(
        self,
        method: str,
        genome: Genome,
        ratio: Ratio,
        error_rate: ErrorRate | None,
        rng: np.random.Generator | None,
        budget: int,
        checkpoint: Path | None = None,
        progress: Listener | None = None,
        settings: str = "",
    ) -> None:
        if error_rate is None or rng is None:
            missing = "an error rate to judge masks by" if error_rate is None else "a random generator"
            raise EspalierError(f"{method}: needs {missing}")
        if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or budget < 1:
            raise EspalierError(f"{method}: budget must be at least 1 evaluation, got {budget}")
        self.genome, self.rng, self.budget = genome, rng, int(budget)
        self._error_rate, self._progress = error_rate, progress
        self.evaluations, self.best_rate = 0, math.inf
        self.best: Genes = {}
        self.particles: list[Genes] = []
        self.rates: list[float] = []
        self._checkpoint = Path(checkpoint) if checkpoint else None
        self._run = _fingerprint(genome, genome.space.ratios(ratio), rng) | {
            "selector": method,
            "budget": str(self.budget),
            "settings": settings,
        }
        if self._checkpoint:
            self._resume(self._checkpoint)

    @property
    def left(self) -> int:
        """Evaluations that may still be spent."""
        return self.budget - self.evaluations

    def judge(self, genes: Genes) -> float:
        """Return the error rate of `genes`, at the cost of one evaluation; the best so far is remembered.

        Raises
        ------
        EspalierError
            The error rate is none.
        """
        rate = float(self._error_rate(self.genome.masks(genes)))
        if not 0 <= rate <= 1:
            raise EspalierError(f"the error rate of masks must be 0..1, got {rate}")
        self.evaluations += 1
        if rate < self.best_rate:
            self.best, self.best_rate = genes, rate
        if self._progress:
            self._progress(Progress(self.evaluations, self.budget, self.best_rate))
        return rate

    def save(self) -> None:
        """Write the checkpoint, if there is to be one, whole or not at all."""
        if self._checkpoint:
            rng = json.dumps(self.rng.bit_generator.state, default=lambda array: array.tolist())
            state = State(
                self._run, self.evaluations, rng, self.best, self.best_rate, tuple(self.particles), tuple(self.rates)
            )
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
        self.evaluations, self.best_rate, self.best = state.evaluations, state.best_rate, dict(state.best)
        self.particles, self.rates = [dict(genes) for genes in state.particles], list(state.rates)
        self.rng.bit_generator.state = json.loads(state.rng)


def _fingerprint(genome: Genome, ratios: Mapping[str, float], rng: np.random.Generator) -> dict[str, str]:
    """Return, in words or digests, what decides how a search goes: equal when it is the same search."""
    space = genome.space
    return {
        "network": digest_of(*network_parts(space.network)),
        "patterns": json.dumps({name: str(pattern) for name, pattern in space.patterns.items()}),
        "ratio": json.dumps(ratios),
        "masks of earlier rounds": digest_of(
            *(x for name in sorted(space.within) for x in (name, space.within[name].kept))
        ),
        "seed": digest_of(json.dumps(rng.bit_generator.state, default=lambda array: array.tolist())),
    }

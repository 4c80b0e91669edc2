"""An optimisation from beginning to end: choices, mixes, the search, and what is chosen."""

from dataclasses import dataclass

import numpy as np

from accel.cost import total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Steps, Widths, ordered_for
from reports.optimize.mixes import Mix, choices_of, path, rest_of, spread
from reports.optimize.results import Asked, Results, Version, chosen_of
from reports.optimize.search import Search
from reports.optimize.wish import Wish
from reports.workflow.evaluate import float_error_rate, program_error_rate
from reports.workflow.limits import parse_error
from reports.workflow.quantize import Workbench
from sim.engine import compile_program

PATTERNS = ("kernel@8", "kernel", "irregular", "block-4")
SHARES = (0.85, 0.7, 0.55, 0.45, 0.35, 0.25)  # of what the dense network takes, that mixes are to take
CURVED_IMAGES = 512  # of the training images, from which curvatures are estimated


@dataclass(frozen=True, eq=False)
class Found:
    """Results, and the Program and the network of what was chosen, if something fits."""

    results: Results
    program: Program | None = None
    network: PrunedNetwork | None = None


def optimized(wish: Wish) -> Found:
    """Return the best Program that was found within the limits, trained; or all that was tried where none is.

    Raises
    ------
    EspalierError
        The network has masks already, no layer can have one of the patterns, or PyTorch is missing.
    """
    if wish.dense.masks:
        name, pattern = wish.dense.network.name, wish.dense.pattern
        raise EspalierError(f"{name}: is pruned already ({pattern}); give a dense network")
    asked = _asked(wish)
    search = Search(wish, asked.limit)
    finalists, seen = search.finalists(_mixes(wish))
    made: list[tuple[Version, Program, PrunedNetwork]] = []
    for mix, trained in finalists:
        made += search.versions(mix, trained)
    versions = tuple(version for version, _, _ in made)
    chosen = chosen_of(versions, wish.goal)
    program, network = made[chosen][1:] if chosen is not None else (None, None)
    results = Results(
        asked=asked,
        trained=tuple(seen),
        versions=versions,
        chosen=chosen,
        test_images=len(wish.images["test"]),
        test_error_rates=_tested(wish, program),
    )
    return Found(results, program, network)


def _tested(wish: Wish, program: Program | None) -> dict[str, float]:
    """Return the error rates on test images, which decide nothing."""
    test = wish.images["test"]
    rates = {"dense": float_error_rate(wish.dense, test)}
    if program is not None:
        rates["chosen"] = program_error_rate(compile_program(program), test.codes(program.input_signal), test)
    return rates


def _asked(wish: Wish) -> Asked:
    bench = Workbench(Calibration(wish.dense, wish.images["calibration"].pixels(), Steps()), wish.images["validation"])
    program = ordered_for(bench.lowered(Widths(8, 8)), wish.lanes[0], split=True)
    array = array_for(program, *wish.lanes)
    return Asked(
        network=wish.dense.network.name,
        data=wish.dense.data,
        array="x".join(map(str, wish.lanes)),
        patterns=tuple(wish.patterns),
        goal=wish.goal,
        max_error=wish.max_error,
        limit=parse_error(wish.max_error, bench.float_error_rate),
        memory_bits=wish.memory_bits,
        epochs=wish.epochs,
        seed=wish.seed,
        dense_error_rate=bench.float_error_rate,
        dense_cycles=total_cycles(program, array),
        dense_memory_bits=array.built_bits,
        validation_images=len(wish.images["validation"]),
    )


def _mixes(wish: Wish) -> list[Mix]:
    from accel.train import curvatures

    train = wish.images["train"]
    images, rng = train.take(min(CURVED_IMAGES, len(train))), np.random.default_rng(wish.seed)
    curved = curvatures(wish.dense.folded().network, images.pixels(), images.labels, rng).weights
    choices = choices_of(wish.dense, wish.patterns, curved, wish.lanes, wish.goal)
    if not choices:
        raise EspalierError(f"{wish.dense.network.name}: no layer can have one of {', '.join(wish.patterns)}")
    mixes = path(choices, rest_of(wish.dense, choices, wish.lanes, wish.goal))
    found = [mix for mix in spread(mixes, SHARES) if mix.patterns]
    if not found:
        raise EspalierError(
            f"{wish.dense.network.name}: none of {', '.join(wish.patterns)} takes less than the dense network by so "
            "much that it pays; try other patterns or another array"
        )
    return found

"""Programs of the study of trained networks that have the same bits in every layer, on the array of a search."""

from dataclasses import dataclass
from pathlib import Path

from accel.cost import total_cycles
from accel.demand import array_for
from accel.program import Program
from accel.quantize import ordered_for
from reports.shared.journal import RESULTS
from reports.studies import trained
from reports.studies.trained.results import Results
from reports.workflow.parsing import parse_lanes

STUDY = Path(trained.__file__).parent


@dataclass(frozen=True)
class Uniform:
    """A Program with one word length, but for what the study leaves at 8 bits.

    Parameters
    ----------
    name : str
        Its pattern and its bits.
    error_rates : dict of split to float
    memory_bits, cycles : int
        Of the memories of the array that is just large enough, and of an image on it.
    """

    name: str
    error_rates: dict[str, float]
    memory_bits: int
    cycles: int


def uniform(network: str, array: str, study: Path = STUDY) -> list[Uniform]:
    """Return the first seed's Programs of a network, the best by validation images first."""
    lanes, found = parse_lanes(array), []
    for version in Results.from_json((study / RESULTS).read_text()).versions:
        task = version.task
        if (task.network, task.seed) != (network, 0) or not task.bits:
            continue
        program = Program.load(study / "networks" / f"{task.stem}.espalier")
        program = ordered_for(program, lanes[0], split=True)
        fitting = array_for(program, *lanes)
        name = f"{task.pattern}, {task.bits} bits"
        found.append(Uniform(name, version.error_rates, fitting.built_bits, total_cycles(program, fitting)))
    return sorted(found, key=lambda x: x.error_rates["validation"])

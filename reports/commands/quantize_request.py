"""What `espalier quantize` is asked for, and what of it cannot be together."""

from dataclasses import dataclass
from pathlib import Path

from accel.errors import EspalierError
from accel.fixedpoint import Overflow
from accel.interchange.data.datasets import check_choice
from accel.quantize import RULES
from reports.shared import output
from reports.workflow.parsing import parse_memory, parse_order
from reports.workflow.retrain import check_training
from reports.workflow.training_log import check_log

SENSITIVITIES = ("measured", "hessian")
ACCUMULATORS = {"wrap": Overflow.WRAP, "saturate": Overflow.SAT}


@dataclass(frozen=True)
class Request:
    """What the command line asks for, as words and numbers; see `espalier quantize --help`."""

    network: str
    out: Path
    weight_bits: int
    signal_bits: int
    layer_bits: str | None
    input_bits: int
    pattern: str | None
    rule: str
    percentile: float
    power_of_two: bool
    per_output: bool
    search: int
    budget_error: float | None
    budget_memory: str | None
    budget_cycles: int | None
    array: str | None
    evaluations: int
    sensitivity: str
    retrain: int
    learning_rate: float | None
    batch_size: int | None
    teacher: str | None
    best_epoch: bool
    bfloat16: bool
    norms_frozen: float | None
    log_dir: Path | None
    checkpoint: Path | None
    validation_images: int
    accumulator_bits: int | None
    accumulator_overflow: str
    rounding: str
    overflow: str
    multiplier_bits: int
    formats: Path | None
    lanes: str | None
    cluster_lanes: str | None
    zero_runs: bool
    seed: int
    jobs: int | None
    train_threads: int
    data: str | None
    data_dir: str | None
    metric: str
    json_file: Path | None

    @property
    def measures(self) -> bool:
        """Whether error rates are needed on the way."""
        return bool(self.search or self.retrain or self.json_file) or self.allocates

    @property
    def order(self) -> str | None:
        """The lanes that output maps are ordered for, if for any."""
        return self.lanes or self.cluster_lanes

    @property
    def allocates(self) -> bool:
        """Whether widths are chosen within a budget."""
        return bool(self.budget_memory or self.budget_cycles) or self.budget_error is not None


def checked(request: Request) -> int | None:
    """Return the budget of memory in bits, if there is one; refuse what cannot be together."""
    check_choice("rule of steps", request.rule, RULES)
    check_choice("sensitivity", request.sensitivity, SENSITIVITIES)
    if request.sensitivity != "measured" and not request.allocates:
        raise EspalierError(f"--sensitivity {request.sensitivity}: no widths are searched; give a budget")
    check_choice("overflow of accumulators", request.accumulator_overflow, [*ACCUMULATORS])
    if request.budget_error is not None and request.budget_memory:
        raise EspalierError("--budget-error and --budget-memory: give one of them")
    if (request.budget_cycles is None) != (request.array is None):
        raise EspalierError("--budget-cycles and --array: one says how many cycles at most, the other of which array")
    words = request.learning_rate, request.batch_size, request.teacher, request.best_epoch, request.bfloat16
    check_training(request.retrain > 0, request.retrain > 0, *words)
    check_log(request.log_dir, request.retrain > 0)
    if request.norms_frozen and (request.power_of_two or not (request.retrain and request.per_output)):
        told = "batch norms stay in a retraining alone, with steps that it learns: --retrain, --per-output"
        raise EspalierError(f"--norms-frozen {request.norms_frozen:g}: {told}, and no --power-of-two")
    if request.formats is not None and (request.search or request.retrain or request.allocates):
        raise EspalierError("--formats says what is given; --search, --retrain and the budgets would change it")
    if request.layer_bits is not None and (request.formats is not None or request.allocates):
        raise EspalierError("--layer-bits says what is given; --formats and the budgets would say otherwise")
    if request.order is not None:
        parse_order(request.order)
    output.check_place(request.out, request.json_file)
    return parse_memory(request.budget_memory, "--budget-memory") if request.budget_memory else None

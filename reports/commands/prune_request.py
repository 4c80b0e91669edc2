"""What `espalier prune` is asked for, and which of its options do not go together."""

from dataclasses import dataclass
from pathlib import Path

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.prune import Magnitude
from accel.sparsity import FeatureMap
from reports.workflow.prune import stages
from reports.workflow.retrain import check_training
from reports.workflow.selection import PARTICLE_FILTER
from reports.workflow.training_log import check_log


@dataclass(frozen=True)
class Request:
    """What the command line asks for, as words and numbers; see `espalier prune --help`."""

    network: str
    pattern: str
    ratio: str | None
    select: str
    start: str
    budget: int
    data: str | None
    validation_images: int
    spare: tuple[str, ...]
    rounds: int
    steps: str
    retrain: int
    gradual: float | None
    sparsify: int
    group_lasso: float
    learning_rate: float | None
    batch_size: int | None
    teacher: str | None
    best_epoch: bool
    bfloat16: bool
    log_dir: Path | None
    checkpoint: Path | None
    seed: int
    train_threads: int
    jobs: int | None
    data_dir: str | None
    metric: str
    json_file: Path | None
    out: Path

    @property
    def training(self) -> int:
        """Epochs of training, of whatever kind."""
        return self.retrain + self.sparsify


def check_options(request: Request) -> None:
    """Raise EspalierError if an option says nothing about what was asked for."""
    words = request.learning_rate, request.batch_size, request.teacher, request.best_epoch, request.bfloat16
    check_training(request.retrain > 0, request.training > 0, *words)
    check_log(request.log_dir, request.training > 0)
    _check_gradual(request)
    if request.start != "random" and request.select != PARTICLE_FILTER:
        raise EspalierError(f"--start {request.start}: is for {PARTICLE_FILTER}, not for {request.select}")
    patterns = {part for stage in stages(request.pattern) for part in stage.split("/")}
    others = patterns - {str(FeatureMap()), zoo.DENSE}
    if request.select == "activation-sum" and others:
        raise EspalierError(
            f"--select activation-sum: chooses feature maps only, and {request.pattern} asks for {sorted(others)[0]}"
        )


def _check_gradual(request: Request) -> None:
    """Refuse masks that follow the weights where something else is to choose them, or nothing is trained."""
    if request.gradual is None:
        return
    if not request.retrain:
        raise EspalierError(f"--gradual {request.gradual:g}: nothing is retrained; --retrain says for how many epochs")
    others = {"--rounds": request.rounds > 1, "--sparsify": request.sparsify > 0}
    others["--select"] = request.select != Magnitude.name
    for name in (name for name, there in others.items() if there):
        raise EspalierError(f"--gradual {request.gradual:g}: magnitude chooses before each epoch; leave {name} out")

"""How to train: a frozen recipe, checked when it is made."""

import math
from dataclasses import dataclass

import numpy as np

from accel.errors import EspalierError

OPTIMIZERS = ("sgd", "adam")
CROSS_ENTROPY, MSE = LOSSES = ("cross-entropy", "mse")
SCHEDULES = ("constant", "cosine", "step", "onecycle")
FLOAT32, BFLOAT16 = PRECISIONS = ("float32", "bfloat16")
WARM_UP, FIRST_SHARE = 0.3, 0.04  # of one cycle: the share of steps that warm up, and of the rate that they begin at
MOST_THREADS = 1024


@dataclass(frozen=True)
class Recipe:
    """What a training run does; two runs of one recipe on one machine's CPU give the same bytes, however busy it is.

    Parameters
    ----------
    epochs, batch_size : int
        Each epoch is cut into the fewest batches of at most `batch_size` images, all of nearly one size.
    learning_rate : float
        The highest; `schedule` says when.
    optimizer : {"sgd", "adam"}
        SGD with momentum, or Adam with decoupled weight decay (AdamW) and (momentum, 0.999) as its betas.
    momentum : float
    weight_decay : float
        Of kernels and matrices only; biases and batch norms do not decay.
    group_lasso : float
        How fast groups of weights shrink towards zero together, where `fit` is given any: the norm of a group of n
        loses learning rate x group_lasso x sqrt(n) in each step, and no more than it has.
    schedule : {"constant", "cosine", "step", "onecycle"}
        Cosine falls to 0 over the run; step divides by 10 after half and after three quarters of it; one cycle rises
        along a cosine for 30 % of the run, from 1/25 of the rate, and then falls to 0 along another (Smith and Topin,
        "Super-Convergence", arXiv 1708.07120; the shares are PyTorch's).
    loss : {"cross-entropy", "mse"}
        Of scores and labels; or the mean squared error of a network that is to give its image again.
    label_smoothing : float
        The share of the target that is spread over all classes.
    distillation, temperature : float
        The share of the loss (0..1) that is a teacher's, where the training is given one, and the temperature at which
        both networks' scores become probabilities for it.
    shift_pixels : int
        Images move by a random number of pixels, at most this many each way, zeros moving in; 0 leaves them in place.
    flip : bool
        Mirror half of the images left to right, drawn anew each epoch.
    best : bool
        Whether the network of the epoch with the lowest error rate on the validation images is kept, of two the later
        one, and not that of the last epoch.
    precision : {"float32", "bfloat16"}
        Of products in convolutions and matrices, and of what comes out of them; weights, batch norms, losses and the
        optimizer have float32 in any case (Micikevicius et al., "Mixed Precision Training", arXiv 1710.03740). With
        bfloat16 an epoch is shorter where the processor has instructions for it, and longer where it has none.
    norms_frozen : float
        The share of the epochs (0..1) after which the statistics of batch norms stay in a training as a Program
        computes it; 0 has them part of the weights from the start.
    seed : int
        Of the order of the images and of what is done to them.
    threads : int
        Of the processor. Sums of floating point depend on how they are split, so another number gives other bytes, and
        the machine's own would be another on each. One is the fastest for networks as small as the zoo's.

    Raises
    ------
    EspalierError
        A field is out of its range.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.01
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    group_lasso: float = 0.0
    schedule: str = "cosine"
    loss: str = CROSS_ENTROPY
    label_smoothing: float = 0.0
    distillation: float = 0.0
    temperature: float = 4.0
    shift_pixels: int = 0
    flip: bool = False
    best: bool = False
    precision: str = FLOAT32
    norms_frozen: float = 0.0
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("shift_pixels", 0), ("seed", 0), ("threads", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise EspalierError(f"{name} must be an integer of at least {least}, got {value!r}")
        if self.threads > MOST_THREADS:
            raise EspalierError(f"threads must be at most {MOST_THREADS}, got {self.threads}")
        for name in ("learning_rate", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise EspalierError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("distillation", "norms_frozen"):
            if not 0 <= getattr(self, name) <= 1:
                raise EspalierError(f"{name} must be at least 0 and at most 1, got {getattr(self, name)}")
        for name in ("weight_decay", "group_lasso"):
            if not 0 <= getattr(self, name) < math.inf:
                raise EspalierError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise EspalierError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        choices = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss": LOSSES, "precision": PRECISIONS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise EspalierError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.loss == MSE and (self.distillation or self.label_smoothing):
            raise EspalierError("a loss of mse knows no classes: distillation and label_smoothing must be 0")

    def rate(self, done: float) -> float:
        """Return the learning rate when the share `done` (0..1) of all steps has been taken.

        Examples
        --------
        >>> Recipe(learning_rate=0.5).rate(0.5), Recipe(learning_rate=0.5, schedule="step").rate(0.5)
        (0.25, 0.05)
        """
        if self.schedule == "cosine":
            return self.learning_rate * _falling(done)
        if self.schedule == "onecycle" and done < WARM_UP:
            return self.learning_rate * (1 - (1 - FIRST_SHARE) * _falling(done / WARM_UP))
        if self.schedule == "onecycle":
            return self.learning_rate * _falling((done - WARM_UP) / (1 - WARM_UP))
        if self.schedule == "step":
            return self.learning_rate / 10 ** ((done >= 0.5) + (done >= 0.75))
        return self.learning_rate

    def generator(self, epoch: int) -> np.random.Generator:
        """Return the source of everything that is drawn in one epoch, whatever the epochs before it drew."""
        return np.random.default_rng([self.seed, epoch])


def _falling(done: float) -> float:
    """Return half a cosine: from 1 to 0 as `done` goes from 0 to 1."""
    return (1 + math.cos(math.pi * done)) / 2

"""How each network of the zoo is made, `ENTRIES`: its data, its trainings, and what goes at each stage of pruning.

Importing it needs PyTorch (the extra ``train``), whose recipes these are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from accel.prune import Ratio
from accel.train import MSE, Recipe


@dataclass(frozen=True)
class Lasso:
    """Training under a group lasso before the weights to go are chosen.

    Parameters
    ----------
    epochs : int
    strength : float
    """

    epochs: int
    strength: float = 0.1


@dataclass(frozen=True)
class Entry:
    """How a network of the zoo is made.

    Parameters
    ----------
    data : str
        A data set by name; where it is one that nobody has by name, what it is called.
    dense, retrain : Recipe
        Of the first training, and of each retraining after a stage of pruning.
    ratios : dict of pattern label to dict of stage to ratio
        Share of the weights that goes at each stage, of every pruned layer or of each by name.
    lassos : dict of pattern label to Lasso
        Of those that have one.
    epochs : dict of pattern label to int
        Of each retraining of those that have others than `retrain`.
    quantized : Recipe, optional
        Of a training as a Program computes it; `retrain` if there is none.
    gradual : float, optional
        The share of the epochs of `retrain` in which masks follow the weights, where they can; in one shot if none.
    """

    data: str
    dense: Recipe
    retrain: Recipe
    ratios: Mapping[str, Mapping[str, Ratio]]
    lassos: Mapping[str, Lasso] = field(default_factory=dict)
    epochs: Mapping[str, int] = field(default_factory=dict)
    quantized: Recipe | None = None
    gradual: float | None = None


RATIOS: dict[str, dict[str, Ratio]] = {
    "feature-map": {"feature-map": 0.5},
    "kernel": {"kernel": 0.7},
    "kernel@8": {"kernel@8": 0.7},
    "ikss": {"ikss": 0.7},
    "kernel+ikss": {"kernel+ikss": 0.75},
    "feature-map+kernel": {"feature-map": 0.4, "kernel": 0.6},
    "block-4": {"block-4": 0.8},
    "2:4": {},
    "irregular": {"irregular": 0.9},
}

HALVES: dict[str, dict[str, Ratio]] = {  # of separable networks: about half of the multiplications
    "feature-map": {"feature-map": 0.4},
    "kernel": {"kernel": 0.65},
    "kernel@8": {"kernel@8": 0.65},
    "block-4": {"block-4": 0.6},
    "2:4": {},
    "irregular": {"irregular": 0.6},
}
MATRIX_RATIOS: dict[str, dict[str, Ratio]] = {  # of fully connected networks: a feature map is a hidden unit
    "feature-map": {"feature-map": 0.5},
    "block-4": {"block-4": {"fc1": 0.92, "fc2": 0.775}},
    "block-8": {"block-8": {"fc1": 0.922, "fc2": 0.776}},
    "2:4": {},
    "irregular": {"irregular": 0.95},
}
MATRICES = Recipe(20, 128, 1e-3, "adam", weight_decay=0.3, label_smoothing=0.1)
SPARSE_MATRICES = replace(MATRICES, epochs=12, weight_decay=0.02)


def _matrices(data: str, lasso: Lasso) -> Entry:
    """Return how a fully connected network is made: its last layer stays dense, blocks are gathered by a lasso."""
    lassos = dict.fromkeys(("block-4", "block-8"), lasso)
    return Entry(data, MATRICES, SPARSE_MATRICES, MATRIX_RATIOS, lassos)


def _residual(
    blocks: int, dense_epochs: int, epochs: int, half: float, last_stage: float, most: float, quantized_rate: float
) -> Entry:
    """Return how a residual network is made: half of all multiplications go, or 70 % of all weights.

    Ratios are above that because the first and the last layer, and of kernels the shortcuts of 1x1, stay whole. Feature
    maps go inside blocks alone, where no addition ties them; half of them takes half of both convolutions of a block.
    """
    maps = {}
    for stage, share in enumerate((0.5, 0.5, last_stage), start=1):
        for block in range(1, blocks + 1):
            maps[f"conv{stage}_{block}a"] = share
            maps |= {f"conv{stage}_{block}{x}": 0.0 for x in ("bs" if block == 1 else "b") if stage > 1}
    dense = Recipe(dense_epochs, 128, 0.2, weight_decay=5e-4, schedule="onecycle", shift_pixels=4, flip=True)
    taught = replace(dense, epochs=epochs, learning_rate=0.1, distillation=0.7)
    return Entry(
        "cifar-10",
        dense,
        taught,
        {
            "feature-map": {"feature-map": maps},
            "kernel": {"kernel": half},
            "kernel@8": {"kernel@8": half},
            "irregular": {"irregular": most},
        },
        quantized=replace(taught, learning_rate=quantized_rate, optimizer="adam", weight_decay=0.0, best=True),
    )


ENTRIES = {
    "digits": Entry(
        "digits",
        Recipe(epochs=60, batch_size=32, learning_rate=2e-3, optimizer="adam", weight_decay=1e-3, shift_pixels=1),
        Recipe(epochs=30, batch_size=32, learning_rate=1e-3, optimizer="adam", weight_decay=1e-3, shift_pixels=1),
        RATIOS,
    ),
    "lenet5": Entry(
        "mnist",
        Recipe(epochs=12, batch_size=128, learning_rate=2e-3, optimizer="adam", weight_decay=1e-4, shift_pixels=2),
        Recipe(epochs=10, batch_size=128, learning_rate=2e-3, optimizer="adam", weight_decay=1e-4, shift_pixels=2),
        RATIOS
        | {  # 90 % of all weights
            "block-4": {"block-4": {"conv2": 0.5, "conv3": 0.945, "fc4": 0.89}},
            "irregular": {"irregular": {"conv2": 0.55, "conv3": 0.94, "fc4": 0.9}},
        },
        {"block-4": Lasso(8)},
    ),
    "lenet-300-100": _matrices("mnist", Lasso(15)),
    "lenet-300-100-fashion": _matrices("fashion-mnist", Lasso(30, 0.06)),
    "cifar-quick": Entry(
        "cifar-10",
        Recipe(30, 64, 1.5e-3, "adam", weight_decay=1e-2, shift_pixels=2, flip=True),
        Recipe(20, 64, 1e-3, "adam", weight_decay=1e-2, shift_pixels=2, flip=True),
        RATIOS
        | {
            "kernel": {"kernel": 0.78},
            "kernel@8": {"kernel@8": 0.78},
            "kernel/block-4": {"kernel": 0.78, "block-4": 0.8},
        },
        {"kernel": Lasso(3), "kernel@8": Lasso(3), "kernel/block-4": Lasso(3)},
        {"kernel@8": 8},  # what the time of a shared CPU allowed: its error is above what 20 would give
    ),
    # for those with a GPU: not trained yet, so not shipped
    "cnn-small": Entry(
        "cifar-10",  # as its source has it: no augmentation
        Recipe(epochs=100, batch_size=128, learning_rate=0.05, weight_decay=5e-4),
        Recipe(epochs=40, batch_size=128, learning_rate=0.02, weight_decay=5e-4),
        RATIOS,
    ),
    "resnet8": _residual(1, dense_epochs=80, epochs=30, half=0.53, last_stage=0.625, most=0.71, quantized_rate=3e-3),
    "dscnn": Entry(
        "Speech Commands",
        Recipe(36, 100, 2e-3, "adam", weight_decay=1e-2),
        Recipe(18, 100, 1e-3, "adam", weight_decay=1e-2),
        HALVES,
    ),
    "mobilenet-0.25": Entry(
        "Visual Wake Words (vw_coco2014_96)",
        Recipe(50, 50, 1e-3, "adam", weight_decay=1e-2, shift_pixels=4, flip=True),
        Recipe(25, 50, 5e-4, "adam", weight_decay=1e-2, shift_pixels=4, flip=True),
        HALVES,
    ),
    "autoencoder": Entry(
        "sounds of DCASE 2020's task 2 (ToyCar)",
        Recipe(100, 512, 1e-3, "adam", loss=MSE),
        Recipe(40, 512, 1e-3, "adam", loss=MSE),
        {"feature-map": {"feature-map": 0.425}, "2:4": {}}
        | {name: {name: 0.725} for name in ("kernel@8", "block-4", "irregular")},
    ),
    "resnet20": _residual(3, dense_epochs=60, epochs=20, half=0.52, last_stage=0.5625, most=0.705, quantized_rate=1e-3),
}

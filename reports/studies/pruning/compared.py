"""The studies of patterns on an array, defined: patterns that remove as much of the convolutions, trained alike.

What they ask is error against cycles. Units are chosen by magnitude in the zoo's dense network, before any training, so
that what a setting keeps follows from it alone, whichever the seed. As many feature maps stay as fill groups of eight
output lanes. `COMPARED` is the table.
"""

from reports.studies.pruning.definition import Setting, Study
from reports.workflow.prune import FEATURE_MAP

PATTERNS = ("kernel", "kernel@8", "ikss")


def settings(ratio: float, conv2: float, conv3: float) -> tuple[Setting, ...]:
    """Return each pattern without the share `ratio` of the weights of the convolutions that it prunes.

    Parameters
    ----------
    ratio : float
        Of the weights of conv2 and of conv3; conv1 is spared.
    conv2, conv3 : float
        Share of their feature maps that takes as much of both, or nearly: conv3 loses rows and columns.
    """
    inside = (Setting(pattern, {pattern: {"conv2": ratio, "conv3": ratio}}) for pattern in PATTERNS)
    return (*inside, Setting(FEATURE_MAP, {FEATURE_MAP: {"conv2": conv2, "conv3": conv3, "fc4": 0.0}}))


SIZED = (
    "Sized for a shared CPU: one ratio, and one epoch of retraining, where the other study of this network has {}. "
    "What pruning destroys before it counts for too much: it says little of how low errors get."
)
COMPARED: dict[str, Study] = {
    "lenet5": Study(
        "lenet5",
        sweep={},
        settings=settings(0.7, 0.5, 0.4),
        epochs=1,
        notes=(SIZED.format("ten"),),
    ),
    "cifar-quick": Study(
        "cifar-quick",
        sweep={},
        settings=settings(0.78, 0.5, 0.75),
        epochs=1,
        notes=(f"{SIZED.format('six')} IKSS and feature maps were not reached; the other study has them.",),
    ),
}

"""The studies of patterns on an array, defined: patterns that remove as much of the convolutions, trained alike.

What they ask is error against cycles. Units are chosen by magnitude in the zoo's dense network, before any training, so
that what a setting keeps follows from it alone, whichever the seed. As many feature maps stay as fill groups of eight
output lanes. The dense network is trained on as they are, and is what each line begins with. `COMPARED` is the table.
"""

from reports.studies.pruning.definition import Setting, Study
from reports.studies.pruning.results import DENSE
from reports.workflow.prune import FEATURE_MAP

PATTERNS = ("kernel@8", "kernel", "ikss")
CONTROL = Setting(DENSE, {})


def settings(ratio: float, conv2: float, conv3: float, patterns: tuple[str, ...] = PATTERNS) -> tuple[Setting, ...]:
    """Return each pattern without the share `ratio` of the weights of the convolutions that it prunes.

    Parameters
    ----------
    ratio : float
        Of the weights of conv2 and of conv3; conv1 is spared.
    conv2, conv3 : float
        Share of their feature maps that takes as much of both, or nearly: conv3 loses rows and columns.
    patterns : tuple of str
        All but feature maps.
    """
    inside = (Setting(pattern, {pattern: {"conv2": ratio, "conv3": ratio}}) for pattern in patterns)
    return (*inside, Setting(FEATURE_MAP, {FEATURE_MAP: {"conv2": conv2, "conv3": conv3, "fc4": 0.0}}))


SIZED = (
    "Sized for a shared CPU: {} of retraining, where the other study of this network has {}. What pruning "
    "destroys before it counts for more than it would after long training."
)
COMPARED: dict[str, Study] = {
    "lenet5": Study(
        "lenet5",
        sweep={},
        settings=(CONTROL, *settings(0.7, 0.5, 0.4, (*PATTERNS, "kernel@4")), *settings(0.5, 0.5, 0.0)),
        epochs=3,
        notes=(SIZED.format("three epochs", "ten"),),
    ),
    "cifar-quick": Study(
        "cifar-quick",
        sweep={},
        settings=(CONTROL, *settings(0.78, 0.5, 0.75), *settings(0.38, 0.25, 0.25)),
        epochs=1,
        notes=(SIZED.format("one epoch", "six"),),
    ),
}

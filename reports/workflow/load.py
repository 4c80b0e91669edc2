"""Which version of a network a command means."""

from accel.interchange import zoo
from accel.pruned import PrunedNetwork
from reports.workflow.prune import prune


def version_of(network: str, pattern: str | None) -> PrunedNetwork:
    """Return the version of a zoo network that `pattern` names, or a file, pruned by magnitude if asked for."""
    if not zoo.is_file(network):
        return zoo.load(network, pattern)
    given = zoo.load(network)
    return given if pattern in (None, given.pattern) else prune(given, pattern)


DEFAULT_PATTERNS = ("dense", "feature-map", "kernel", "kernel@8", "ikss", "kernel+ikss", "block-4", "irregular")

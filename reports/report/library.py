"""`espalier report` for who programs: the same work, its results as an object."""

from collections.abc import Sequence
from dataclasses import replace

from accel.interchange.data.datasets import ERROR
from reports.report import measure
from reports.report.designing import Hardware
from reports.report.results import Results
from reports.workflow.limits import check_confidence, parse_error


def report(
    network: str,
    bits: Sequence[int] = (3, 4, 5, 6, 7, 8),
    patterns: Sequence[str] | None = None,
    *,
    data: str | None = None,
    data_dir: str | None = None,
    images: int | None = None,
    max_error: str = measure.MAX_ERROR,
    confidence: float | None = None,
    hardware: Hardware | None = None,
    metric: str = ERROR,
    jobs: int | None = None,
) -> Results:
    """Return what `espalier report` measures of a network, without writing anything.

    Parameters
    ----------
    network : str
        A zoo name or a file.
    bits, patterns, data, data_dir, images, jobs, hardware, metric
        As `reports.report.measure.plan` takes them.
    max_error, confidence
        As the command has them: ``"+1%"`` or ``"2%"``; None or 0..1.

    Raises
    ------
    EspalierError
        Something is unknown, missing, or does not fit.
    """
    check_confidence(confidence)
    _ = parse_error(max_error, reference=0.0)
    planned = measure.plan(network, bits, patterns, data_dir, images, jobs, hardware, data, metric)
    return measure.measure(replace(planned, max_error=max_error, confidence=confidence))

"""`espalier explore` for who programs: the same work, its results as an object."""

import os
from dataclasses import fields
from typing import Any

from accel.interchange.data.datasets import check_choice
from reports.explore.kept import Kept
from reports.explore.request import Request, plan_of
from reports.explore.results import Results
from reports.explore.run import Explored, Plan
from reports.explore.run import explore as explored
from reports.shared.cache import opened_cache
from reports.shared.workers import workers


def explore(network: str, *, cache: str | os.PathLike[str] | None = None, **asked: Any) -> Results:
    """Return what `espalier explore` finds for a network, without writing anything but the cache.

    Parameters
    ----------
    network : str
        A zoo name or a file.
    cache : str or PathLike, optional
        Folder in which networks and error rates are kept for other explorations; the user's own by default.
    asked
        Everything else as `Request` has it and `espalier explore --help` explains it, such as ``sram="64KiB"``,
        ``max_error="+1%"``, ``ratios="0.5,0.8"``, ``data="pictures"``.

    Raises
    ------
    EspalierError
        Something is unknown, missing, or does not fit.
    OSError
        A file cannot be read.
    """
    for name in asked:
        check_choice("argument of explore", name, [field.name for field in fields(Request) if field.name != "network"])
    request = Request(network=network, **asked)
    found, _ = answered(plan_of(request), request, cache)
    return found.results


def answered(plan: Plan, request: Request, cache: str | os.PathLike[str] | None) -> tuple[Explored, Kept]:
    """Return what the plan of a request finds, and how much of it was in the cache."""
    with opened_cache(cache) as store, workers(request.backend, request.jobs, request.scheduler) as run:
        kept = Kept(store, run)
        return explored(plan, kept), kept

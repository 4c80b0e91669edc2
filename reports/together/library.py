"""`espalier explore` for who programs, of one network or of several that share an array."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, overload

from accel.errors import EspalierError
from accel.interchange.data.datasets import check_choice
from reports.explore.choosing import FRUGAL
from reports.explore.kept import Kept
from reports.explore.library import explore as explore_one
from reports.explore.request import Request, command_of, plan_of
from reports.explore.results import Results
from reports.explore.run import Plan
from reports.shared.cache import opened_cache
from reports.shared.workers import workers
from reports.together.results import Shared
from reports.together.run import Together, explore_together, names_of, parse_weights
from reports.workflow.parsing import one_each
from reports.workflow.sources import named


@overload
def explore(network: str, *, cache: str | os.PathLike[str] | None = None, **asked: Any) -> Results: ...


@overload
def explore(
    network: Sequence[str],
    *,
    cache: str | os.PathLike[str] | None = None,
    shares: Sequence[float] | str | None = None,
    **asked: Any,
) -> Shared: ...


def explore(
    network: str | Sequence[str],
    *,
    cache: str | os.PathLike[str] | None = None,
    shares: Sequence[float] | str | None = None,
    **asked: Any,
) -> Results | Shared:
    """Return what `espalier explore` finds for a network or several, without writing anything but the cache.

    Parameters
    ----------
    network : str or sequence of str
        A zoo name or a file; several of them share one array, which runs one at a time.
    cache : str or PathLike, optional
        Folder in which networks and error rates are kept for other explorations; the user's own by default.
    shares : sequence of float, optional
        Of the images that each of several networks gets, as numbers in proportion; equal ones by default.
    asked
        Everything else as `Request` has it and `espalier explore --help` explains it, such as ``sram="64KiB"``,
        ``max_error="+1%"``, ``ratios="0.5,0.8"``, ``data="pictures"``; of several networks ``data`` may be a list.

    Raises
    ------
    EspalierError
        Something is unknown, missing, or does not fit.
    OSError
        A file cannot be read.
    """
    if isinstance(network, str):
        if shares is not None:
            raise EspalierError("shares: are of several networks, got one")
        return explore_one(network, cache=cache, **asked)
    for name in asked:
        check_choice("argument of explore", name, [field.name for field in fields(Request) if field.name != "network"])
    data = asked.pop("data", None) or ()
    text = shares if shares is None or isinstance(shares, str) else ",".join(f"{share:g}" for share in shares)
    asking = Asking(network, [data] if isinstance(data, str) else data, text, **asked)
    found, _ = asking.answered(cache)
    return found.shared


class Asking:
    """What is asked of several networks, checked, and the plans that it means.

    Parameters
    ----------
    networks : sequence of str
    data : sequence of str
        Where images are, of all networks or of each.
    shares : str or None
        As `parse_weights` has them.
    asked
        As `Request` has it.

    Raises
    ------
    EspalierError
        Anything is wrong with it: all of that is found here, before any work.
    OSError
        A file cannot be read.
    """

    def __init__(self, networks: Sequence[str], data: Sequence[str], shares: str | None, **asked: Any) -> None:
        if len(networks) < 2:
            raise EspalierError(f"an array is shared by two networks or more, got {len(networks)}")
        self.names, self.shares = names_of(networks), parse_weights(shares, len(networks))
        self.places = one_each(data, len(networks), what="networks")
        pairs = zip(networks, self.places, strict=True)
        self.requests = [Request(network=network, data=place, **asked) for network, place in pairs]
        first = self.requests[0]
        for option, given in (
            ("--goal frugal", first.goal == FRUGAL),
            ("--band", first.band),
            ("--mixed", first.mixed),
            ("--max-luts", first.max_luts),
            ("--max-area", first.max_area),
            ("--min-mhz", first.min_mhz),
        ):
            if given:
                raise EspalierError(f"{option}: is for one network, {len(networks)} are named")
        self.command = _command(self.requests, data, shares)
        self.data = data

    def plans(self) -> list[Plan]:
        """Return the plan of each network."""
        return [plan_of(request) for request in self.requests]

    def answered(self, cache: str | os.PathLike[str] | None, plans: Sequence[Plan] = ()) -> tuple[Together, Kept]:
        """Return what is found, and how much of it was in the cache."""
        plans, first = plans or self.plans(), self.requests[0]
        with opened_cache(cache) as store, workers(first.backend, first.jobs, first.scheduler) as run:
            kept = Kept(store, run)
            return explore_together(plans, self.shares, self.command, kept), kept


def _command(requests: Sequence[Request], data: Sequence[str], shares: str | None) -> str:
    """Return the command that asks the same, as `command_of` has it of one."""
    first = requests[0]
    words = shlex.split(command_of(first))
    head, options = words[:2], words[3:]
    if first.data is not None:
        options = options[:-2]
    options += [word for place in data for word in ("--data", named(place))]
    given = [] if shares is None else ["--shares", shares]
    return shlex.join([*head, *(request.network for request in requests), *given, *options])

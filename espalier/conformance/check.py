"""Hold a pattern or a selector to claims: in a test of the package that brings it, or at a prompt.

`check_pattern` and `check_selector` hold it to claims, one after another, on masks and on a network of three layers:

>>> check_pattern("irregular")
>>> check_selector("random")

The first claim that fails raises a `ConformanceError` whose one line says which claim, where, and what would be right.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from accel.errors import EspalierError
from accel.pattern import Pattern
from accel.prune import Selector, selector
from accel.sparsity import parse_pattern
from espalier.conformance.pattern_claims import CLAIMS as PATTERN_CLAIMS
from espalier.conformance.pattern_claims import PatternCase
from espalier.conformance.selector_claims import CLAIMS as SELECTOR_CLAIMS
from espalier.conformance.selector_claims import SelectorCase

Case = TypeVar("Case")
Claims = Mapping[str, Callable[[Case], str | None]]
"""By what is claimed: a function that returns what contradicts it, or None."""


class ConformanceError(EspalierError):
    """A claim that does not hold, in one line."""


def check_pattern(pattern: str | Pattern, seed: int = 0) -> None:
    """Hold a pattern to every claim: mask = nest, decode(encode) = mask, golden = engine = RTL, and what is charged.

    Parameters
    ----------
    pattern : str or Pattern
        It must be registered: an entry point of the group ``espalier.patterns``.
    seed : int
        Of the masks, weights and images that are drawn. The hardware runs in Amaranth's simulator: a few seconds.

    Raises
    ------
    ConformanceError
        A claim does not hold.
    EspalierError
        There is no pattern of that name.
    """
    found = parse_pattern(pattern) if isinstance(pattern, str) else pattern
    _Check(f"pattern {found}", PATTERN_CLAIMS)(PatternCase(found, seed))


def check_selector(select: str | Selector, seed: int = 0) -> None:
    """Hold a selector to every claim: masks of the space, the ratio, the seed, the budget, earlier rounds, resumption.

    Parameters
    ----------
    select : str or Selector
        It must be registered: an entry point of the group ``espalier.selectors``.
    seed : int
        Of the weights and images that are drawn, and of the selector.

    Raises
    ------
    ConformanceError
        A claim does not hold.
    EspalierError
        There is no selector of that name.
    """
    found = selector(select) if isinstance(select, str) else select
    _Check(f"selector {found.name}", SELECTOR_CLAIMS)(SelectorCase(found, seed))


class _Check(Generic[Case]):
    """Claims about one thing."""

    def __init__(self, what: str, claims: Claims[Case]) -> None:
        self._what, self._claims = what, claims

    def __call__(self, case: Case) -> None:
        for claim, contradiction in self._claims.items():
            try:
                said = contradiction(case)
            except Exception as error:  # whatever the code of somebody else's does
                name = "" if isinstance(error, EspalierError) else f"{type(error).__name__}: "
                raise ConformanceError(self._line(claim, f"{name}{error}")) from error
            if said:
                raise ConformanceError(self._line(claim, said))

    def _line(self, claim: str, said: str) -> str:
        return f"{self._what}: {claim}: {' '.join(said.split())}"

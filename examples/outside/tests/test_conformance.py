"""All that a package has to test: Espalier's claims, for what it brings."""

import pytest
from espalier_columns import Columns, NoisyMagnitude

from espalier.conformance import check_pattern, check_selector


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_columns(rows: int) -> None:
    """Columns of groups that divide the outputs and of others conform."""
    check_pattern(Columns(rows))


@pytest.mark.parametrize("noise", [0.1, 2.0])
def test_noisy_magnitude(noise: float) -> None:
    """So does the selector."""
    check_selector(NoisyMagnitude(noise))

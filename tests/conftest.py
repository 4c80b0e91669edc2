"""What tests of several files are given."""

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """Return the same numbers for every test."""
    return np.random.default_rng(7)

"""What tests of several files are given."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """Return the same numbers for every test."""
    return np.random.default_rng(7)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let nothing that a user of this machine has kept come into a test, nor the other way round."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ESPALIER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Train on one thread: on maps this small a second one only waits, for long where another test runs beside."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def few_calibration_images() -> Iterator[None]:
    """Let the commands find step sizes from 64 images."""
    from reports.workflow import sources

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CALIBRATION_IMAGES", 64)
        yield


@pytest.fixture(scope="module")
def digits_file(few_calibration_images: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of digits, pruned by kernels, at 4 and 6 bits."""
    from support.commandline import espalier

    path = tmp_path_factory.mktemp("digits") / "digits.espalier"
    arguments = ("--pattern", "kernel", "--weight-bits", 4, "--signal-bits", 6, "-o", path)
    assert espalier("quantize", "digits", *arguments).status == 0
    return path

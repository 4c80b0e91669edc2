"""The engine stays inside its arrays: what numba does not look at elsewhere is looked at once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs import batches, every_kind, programs
from test_equivalence import assert_equivalent, inherited

from accel.fixedpoint import Overflow, Rounding
from accel.quantize import narrow_accumulators
from sim.engine import LANES
from sim.kernels import layers as kernels

ROOT = Path(__file__).parents[1]


def run_with_bounds_checked() -> None:
    """Compare golden and engine in a process whose numba checks bounds; and see that it does."""
    x, out = np.zeros((1, 2, 2, 1), np.int16), np.zeros((1, 1, 1, 1), np.int16)
    with pytest.raises(IndexError):
        kernels.max_pool(x, (3, 3), (1, 1), out)

    @settings(max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=inherited)
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        of = data.draw(programs(every_kind=True, modes=(Rounding.RND, Overflow.SAT)))
        assert_equivalent(of, data.draw(batches(of)))

    draw()
    of = every_kind(np.random.default_rng(0))
    for narrow in (of, narrow_accumulators(of, 9, Overflow.WRAP), narrow_accumulators(of, 9, Overflow.SAT)):
        assert_equivalent(narrow, np.full((LANES + 1, *of.input_shape), 255))
    print("bounds were checked")


@pytest.mark.slow
def test_no_kernel_leaves_its_arrays(tmp_path: Path) -> None:
    """With numba's bounds checks on, which are off elsewhere, the same Programs still run, and give golden's codes.

    So do the engine's own tests, on what was compiled for these.
    """
    environment = {
        **os.environ,
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CACHE_DIR": str(tmp_path),  # code that was compiled without the checks must not be found
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    }
    script = "import test_sim_bounds; test_sim_bounds.run_with_bounds_checked()"
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "bounds were checked\n", done.stderr
    assert done.returncode == 0
    engine = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-m", "", "tests/test_sim_engine.py"]
    done = subprocess.run(engine, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

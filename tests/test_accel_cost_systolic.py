"""What a dense systolic array reads and writes, and n of m weights: closed forms against folds that are counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.cost.systolic import DATAFLOWS, DENSE, Accesses, Dataflow, Gemm, Kept, SystolicArray
from accel.errors import EspalierError

sizes, dims = st.integers(1, 20), st.integers(1, 7)


def counted(array: SystolicArray, gemm: Gemm, k: int) -> Accesses:
    """Return what a loop over the folds counts: what lies on the array is read once, what streams once a fold."""
    reads = {"m": gemm.m, "n": gemm.n, "k": k}
    down, across = {"weight": "kn", "output": "mn", "input": "km"}[array.stationary]
    found = np.zeros(3, int)
    for top in range(0, reads[down], array.rows):
        for left in range(0, reads[across], array.columns):
            held = dict(reads)
            held[down] = min(array.rows, reads[down] - top)
            held[across] = min(array.columns, reads[across] - left)
            found += held["m"] * held["k"], held["k"] * held["n"], held["m"] * held["n"]
    return Accesses(input_reads=int(found[0]), weight_reads=int(found[1]), output_writes=int(found[2]))


@given(sizes, sizes, sizes, dims, dims, st.sampled_from(DATAFLOWS))
def test_folds_read_and_write(m: int, n: int, k: int, rows: int, columns: int, flow: Dataflow) -> None:
    """Fold by fold, each takes the part of both matrices that it works on and gives its part of the sums.

    Negative control: an array of another width reads more or fewer inputs, where the outputs do not fit on either.
    """
    array, gemm = SystolicArray(rows, columns, flow), Gemm(m, n, k)
    assert array.accesses(gemm) == counted(array, gemm, k)
    if flow == "weight" and -(-n // columns) != -(-n // (columns + 1)):
        assert SystolicArray(rows, columns + 1).accesses(gemm) != array.accesses(gemm)


def test_by_hand() -> None:
    """M, N, K = 40, 30, 50 on 8 x 6: 5 folds of outputs, 7 of K, 5 of M down and 7 across."""
    gemm = Gemm(40, 30, 50)
    found = {flow: SystolicArray(8, 6, flow).accesses(gemm) for flow in DATAFLOWS}
    assert found == {
        "weight": Accesses(input_reads=2000 * 5, weight_reads=1500, output_writes=1200 * 7),
        "output": Accesses(input_reads=2000 * 5, weight_reads=1500 * 5, output_writes=1200),
        "input": Accesses(input_reads=2000, weight_reads=1500 * 7, output_writes=1200 * 7),
    }


class TestKept:
    def test_k_shrinks(self) -> None:
        """2 of 4 of 64 are 32: all is that of a product of 32, and two bits beside each weight.

        Negative control: dense, it takes twice the cycles and one more.
        """
        array, gemm, half = SystolicArray(8, 6), Gemm(40, 30, 64), Kept(2, 4)
        assert array.cycles(gemm, half) == array.cycles(Gemm(40, 30, 32)) == 1199
        assert array.cycles(gemm) == 2 * 1199 + 1
        assert array.accesses(gemm, half) == Accesses(
            input_reads=40 * 32 * 5, weight_reads=32 * 30, output_writes=40 * 30 * 4, index_bits=2 * 32 * 30
        )

    @pytest.mark.parametrize(("n", "m", "bits"), [(1, 1, 0), (1, 2, 1), (2, 4, 2), (3, 5, 3), (4, 8, 3)])
    def test_index(self, n: int, m: int, bits: int) -> None:
        """ceil(log2 m) bits tell m places apart."""
        assert Kept(n, m).index_bits == bits

    def test_last_block(self) -> None:
        """10 weights by 3:4 are two blocks of 3 and the 2 that are left; dense keeps all."""
        assert (Kept(3, 4).of(10), DENSE.of(10)) == (8, 10)

    @pytest.mark.parametrize(("n", "m"), [(0, 4), (5, 4), (1, 0)])
    def test_refusals(self, n: int, m: int) -> None:
        """None, more than there are, and blocks of nothing."""
        with pytest.raises(EspalierError, match="n of m weights are kept"):
            Kept(n, m)

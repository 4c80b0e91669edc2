"""What an image costs beside its computing: its load, and reads of memories that are made of many blocks."""

import math

import numpy as np
import pytest
from support.networks import chain, residual
from test_accel_cost_estimate import ASIC, lenet5, of, programmed

from accel.cost import PlacedMemory, estimate, total_interval
from accel.cost.energy import access_joules
from accel.demand import array_for
from accel.network import Network
from reports.workflow.verdicts import binding
from rtl.simulate import signal_words


def placed(name: str, words: int, width_bits: int, banks: int, shape: tuple[int, int], count: int) -> PlacedMemory:
    """Return an empty memory of so many blocks of 1 KiB."""
    sizes = {"words": words, "width_bits": width_bits, "banks": banks, "count": count}
    return PlacedMemory(name=name, payload_bits=0, macro="SRAM 8 Kbit", shape=shape, block_bits=8192, **sizes)


class TestLoad:
    @pytest.mark.parametrize("network", [chain(), residual()])
    @pytest.mark.parametrize("overlap", [True, False])
    def test_a_beat_a_cycle(self, network: Network, overlap: bool) -> None:
        """An image takes as many cycles to load as the host sends beats, of 8 words; they count where they bind."""
        it = programmed(network)
        e, codes = estimate(it, array_for(it, 8, 8, overlap=overlap)), np.zeros((1, *it.input_shape), np.int64)
        assert e.load_cycles == len(signal_words(codes[0], e.array)) == math.ceil(math.prod(it.input_shape) / 8)
        both = max(e.cycles, e.load_cycles + e.written_rows) if overlap else e.cycles + e.load_cycles
        assert e.interval_cycles == total_interval(it, e.array) == both
        assert (e.seconds, e.images_per_s) == (e.interval_cycles / 100e6, pytest.approx(100e6 / e.interval_cycles))
        assert e.roofline.attained_macs_per_s == e.macs / e.seconds

    def test_a_slow_dram(self) -> None:
        """784 bytes at 10 MB/s take 7,840 cycles of 100 MHz; at 1 GB/s ten come in each, and the port takes eight."""
        it = lenet5("feature-map")
        assert [of(it, dram_bytes_per_s=rate).load_cycles for rate in (1e7, 1e8, 1e9)] == [7840, 784, 98]
        assert of(it).load_cycles == 98
        slow = of(it, dram_bytes_per_s=1e6)
        assert slow.interval_cycles == 78_400 + slow.written_rows > slow.cycles
        assert binding(slow).startswith("the load of the image binds: ")


class TestBanks:
    def test_a_bank_is_read_not_a_block(self) -> None:
        """1,024 blocks of 1 KiB beside 8 banks of one: a word comes from 1 MiB for 100 pJ, another from 1 KiB.

        Negative control: by its block the large memory would take as much as the small one, bit for bit.
        """
        assert ASIC.energy is not None
        large = placed("weights", 1 << 17, 64, 1, (128, 64), 1024)
        small = placed("signals", 1 << 10, 8, 8, (1024, 8), 8)
        found = access_joules(ASIC.energy, [large, small])
        one_kib = 10e-12 / math.sqrt(8)  # for 64 bits
        assert found == {"weights": pytest.approx(100e-12), "signals": pytest.approx(one_kib / 8)}
        assert found["weights"] / 64 > 28 * found["signals"] / 8
        assert ASIC.energy.sram_joules(large.block_bits, 64) == pytest.approx(8 * found["signals"])

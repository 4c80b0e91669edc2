"""What a wrapped build holds for its driver: every word of every memory, and the order of results."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.rtl_layers import SMALL, probe

from accel.places import beats_of
from rtl.bus.build import wrap
from rtl.bus.registers import IDENTITY
from rtl.emit import emit

FILES = {"registers.rdl", "registers.md", "registers.ipxact.xml", "espalier_registers.h", "espalier.c", "espalier.h"}


def words(content: bytes, bits: int) -> list[int]:
    """Return the little-endian words of a file."""
    return np.frombuffer(content, f"<u{bits // 8}").tolist()


def loaded(rest: list[int], memories: int, bits: int) -> Iterator[tuple[int, int, int]]:
    """Yield target, address and word, as the load port gets them when the driver writes piece by piece."""
    for _ in range(memories):
        target, count, pieces, *rest = rest
        for address in range(count):
            yield target, address, sum(word << bits * piece for piece, word in enumerate(rest[:pieces]))
            rest = rest[pieces:]
    assert rest == []


@pytest.mark.parametrize("bits", [32, 64])
def test_a_program_is_what_the_testbench_loads(bits: int) -> None:
    """The driver's file has the words of load.hex, and of the image its beats and places."""
    job = probe()
    build, system = emit([job], SMALL), wrap([job], SMALL, "wishbone", bits)
    assert set(system) - set(build) == FILES | {"espalier_wishbone.v", "program0.bin"}
    identity, beats, place0, place1, results, memories, *rest = words(system["program0.bin"], bits)
    assert (identity, beats, results) == (IDENTITY, beats_of(job.program, SMALL), job.outputs[0].size)
    assert [place0, place1] == json.loads(build["manifest.json"])["jobs"][0]["places"]
    order, rest = rest[:results], rest[results:]
    assert sorted(order) == list(range(results)) != order
    hexed = [int(line, 16) for line in build["load.hex"].split()]
    found = [target | address << 3 | word << 27 for target, address, word in loaded(rest, memories, bits)]
    assert found == hexed
    assert found[1:] + found[:1] != hexed  # the control: in another order they differ


def test_the_drivers_files() -> None:
    """They are those that lie beside the hardware."""
    driver = Path(__file__).parents[1] / "rtl" / "bus" / "driver"
    system = wrap([probe()], SMALL, "axi")
    assert {path.name: path.read_bytes() for path in driver.iterdir()}.items() <= system.items()

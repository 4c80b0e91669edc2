"""What a build has beside the array where a bus is asked for: the wrapper, its map, a driver, programs for it."""

from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import groupby

import numpy as np
from amaranth.hdl import Shape

from accel.array import MacArray
from accel.places import beats_of
from accel.program import Program
from rtl.assemble import assemble
from rtl.bus import ipxact
from rtl.bus.describe import header, markdown, systemrdl
from rtl.bus.registers import IDENTITY
from rtl.bus.wrapper import BUSES, Wrapper
from rtl.core.accelerator import Accelerator
from rtl.emit import TOP, Job, emit, formats_of, hardware
from rtl.fusesoc import CORE, core_file
from rtl.image import Image
from rtl.layout import Layout, Target
from rtl.simulate import load_words, output_rows
from rtl.verilog import convert

DRIVER = ("espalier.c", "espalier.h")


def wrap(jobs: Sequence[Job], array: MacArray, bus: str, bits: int = 32) -> dict[str, bytes]:
    """Return the files of a build and those that put it into a system, by name.

    Parameters
    ----------
    jobs : sequence of Job
        What the build runs.
    array : MacArray
    bus : str
        One of `BUSES`.
    bits : int
        Of the bus.

    Returns
    -------
    dict
        Those of `rtl.emit`, of which ``espalier.core`` knows the wrapper; ``espalier_<bus>.v``, which is the wrapper
        around the module of ``espalier.v``; ``registers.rdl``, ``registers.md`` and, where PeakRDL is installed,
        ``registers.ipxact.xml``; ``espalier.c``, ``espalier.h`` and ``espalier_registers.h``, a driver in C; of each
        job ``program<number>.bin``.

    Raises
    ------
    EspalierError
        A result has more bits than the bus.
    """
    formats = formats_of(job.program for job in jobs)
    core, _ = hardware(array, tuple(formats))
    assert isinstance(core, Accelerator)
    top = f"{TOP}_{bus}"
    wrapper = Wrapper(core, TOP, BUSES[bus], bits)
    programs = {
        f"program{number}.bin": program_words(job.program, assemble(job.program, array, formats), core.layout, bits)
        for number, job in enumerate(jobs)
    }
    ours = resources.files("rtl.bus") / "driver"
    described = systemrdl(top, bits)
    files = emit(jobs, array) | {
        f"{top}.v": convert(wrapper, top).encode(),
        "registers.rdl": described.encode(),
        "registers.md": markdown(top, bits).encode(),
        "espalier_registers.h": header(array, bits).encode(),
        **{name: (ours / name).read_bytes() for name in DRIVER},
        **programs,
    }
    if ipxact.is_there():
        files[ipxact.FILE] = ipxact.ipxact(described)
    return files | {CORE: core_file(files, top).encode()}


def program_words(program: Program, image: Image, layout: Layout, bits: int) -> bytes:
    """Return what the driver loads, in little-endian words of the bus.

    Identity of the map, beats of an image, its two places, results of an image, memories; of each result its place in
    the output, row-major; of each memory its target, its words, the words of the bus for each, and those.
    """
    places = (*image.places, 0)[:2]
    order = np.concatenate(output_rows(program, layout.array)).tolist()
    memories = [(target, [word for *_, word in words]) for target, words in _memories(image, layout)]
    found = [IDENTITY, beats_of(program, layout.array), *places, len(order), len(memories), *order]
    widths = _widths(layout)
    for target, words in memories:
        pieces = -(-widths[target] // bits)
        found += [target, len(words), pieces]
        found += [word >> bits * piece & ((1 << bits) - 1) for word in words for piece in range(pieces)]
    return b"".join(word.to_bytes(bits // 8, "little") for word in found)


def _memories(image: Image, layout: Layout) -> list[tuple[int, list[tuple[int, int, int]]]]:
    """Return the words of each memory that has any."""
    return [(target, list(words)) for target, words in groupby(load_words(image, layout), lambda word: word[0])]


def _widths(layout: Layout) -> Mapping[int, int]:
    """Return the bits of a word of each memory, by its target."""
    return {Target[name.upper()]: Shape.cast(shape).width for name, shape in layout.loaded.items()}

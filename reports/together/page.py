"""The page of one array for several networks: one file that needs no network, made from saved results alone."""

import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from accel.interchange.data.datasets import NAMES
from reports.shared.browsing import Browsing, Heading
from reports.shared.template import filled
from reports.together import answer
from reports.together.designs import Design
from reports.together.results import Row, Shared
from reports.workflow.building import PROGRAM as BUILT
from reports.workflow.building import PRUNED
from reports.workflow.delivery import PROGRAM, proof

COLUMNS = (
    Heading("array", "array", None, "output lanes x pixel lanes"),
    Heading("lanes", "lanes"),
    Heading("memory", "memory KiB", 2, "memory blocks"),
    Heading("cycles", "mean cycles", 0, "of one image, by the shares of the networks"),
    Heading("worst", "worst cycles", 0, "of one image of the slowest network"),
    Heading("rate", "images/s", 0, "of the slowest network, loads counted where they bind"),
    Heading("multipliers", "multipliers"),
    Heading("energy", "nJ (est.)", 1, "of one image, by the shares"),
    Heading("area", "mm² (est.)", 3, "of lanes and memories"),
)


def page(shared: Shared, figures: Mapping[str, bytes]) -> bytes:
    """Return explore.html of several networks.

    Parameters
    ----------
    shared : Shared
    figures : mapping of file name to content
        Of `reports.together.figures`.
    """
    asked, networks, alone, _ = answer.tables(shared)
    contents = {
        "title": ", ".join(shared.names),
        "shared": shared,
        "answer": answer.words(shared),
        "asked": asked,
        "networks": networks,
        "alone": alone,
        "proof": next_on_page(shared) if shared.chosen else "",
        "links": {name: f"{quote(name)}/explore.html" for name in shared.names},
    }
    return filled("reports.together", figures, browsing(shared), **contents)


def next_on_page(shared: Shared) -> str:
    """Return the command that proves the shared design, for somebody who is in the folder and has the images."""
    data = [row.data for row in shared.networks]
    given = [] if all(x in NAMES for x in data) else data[:1] if len({*data}) == 1 else data
    assert shared.chosen
    return proof([f"{name}/{PROGRAM}" for name in shared.names], shared.chosen.lanes, given)


def browsing(shared: Shared) -> Browsing:
    """Return the best array of each number of lanes, with its numbers and the commands that build it."""
    designs = [x.design for x in shared.by_lanes if x.design]
    there = [True] * 7 + [any(p.energy_pj for p in designs), shared.means.area]
    columns = [column for column, kept in zip(COLUMNS, there, strict=True) if kept]
    columns += [Heading(f"network{place}", name, None) for place, name in enumerate(shared.names)]
    rows = [
        [value for value, kept in zip(_numbers(shared, p), there, strict=True) if kept]
        + [answer.short(member) for member in p.members]
        for p in designs
    ]
    return Browsing(
        columns,
        rows,
        first=[],
        best=designs.index(shared.chosen) if shared.chosen in designs else None,
        across="memory",
        up="cycles",
        color="array",
        commands={answer.lanes_of(p): building(shared, p) for p in designs},
        file="shared.csv",
        fixed={},
        title="The best array of each size",
    )


def _numbers(shared: Shared, p: Design) -> list[Any]:
    rate = round(shared.budget.clock_hz / p.interval_cycles, 1)
    cycles = round(p.cycles, 1), p.worst_cycles
    estimates = round(p.energy_pj / 1e3, 3), round(p.area_um2 / 1e6, 5)
    memory = round(p.memory_bits / 8192, 4)
    return [answer.lanes_of(p), p.output_lanes * p.pixel_lanes, memory, *cycles, rate, p.multipliers, *estimates]


def building(shared: Shared, design: Design) -> str:
    """Return the commands that build a shared design: the Program of each network, then all of them on the array."""
    lines = []
    for row, member in zip(shared.networks, design.members, strict=True):
        told = row.building[member.version]
        for name, value in (
            ("{weight_bits}", member.weight_bits),
            ("{signal_bits}", member.signal_bits),
            ("{output_lanes}", design.output_lanes),
            (PRUNED, shlex.quote(f"{row.name}-{PRUNED}")),
            (BUILT, shlex.quote(f"{row.name}.espalier")),
        ):
            told = told.replace(name, str(value))
        lines += told.splitlines()[:-1]
    data = [_data(row) for row in shared.networks]
    given = [x for x in data if x] if all(data) else []
    programs = [f"{row.name}.espalier" for row in shared.networks]
    return "\n".join([*lines, proof(programs, design.lanes, given[:1] if len({*given}) == 1 else given)])


def _data(row: Row) -> str | None:
    """Return what `--data` was given of a network, None if it was not."""
    words = shlex.split(row.command)
    return words[words.index("--data") + 1] if "--data" in words else None

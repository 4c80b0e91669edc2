"""Layers in ZigZag (package ``zigzag-dse``): the cycles of its temporal mapping without stalls, and its DRAM traffic.

The array has output maps along one side and the pixels of a row along the other, as ours has. For ideal cycles one
memory holds everything: they follow from the spatial mapping alone. For traffic an SRAM lies before a DRAM, and the
mapping is the one that takes the least energy where a byte from or to DRAM costs ten thousand times one of the SRAM.
"""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zigzag.api import get_hardware_performance_zigzag

from accel.cost.shapes import LayerShape

PORT = "{{name: {name}, type: {kind}, bandwidth_min: {least}, bandwidth_max: {most}, allocation: [{moves}]}}"
PORTS = (
    ("w_port_1", "write", "'O, fh'"),
    ("r_port_1", "read", "'O, tl'"),
    ("w_port_2", "write", "'O, fl'"),
    ("r_port_2", "read", "'O, th'"),
)
MEMORY = """  {name}:
    {{size: {bits}, r_cost: {cost}, w_cost: {cost}, area: 0, latency: 1, operands: [{operands}],
     served_dimensions: [{served}], ports: [{ports}]}}
"""
ARRAY = """name: referee
memories:
{memories}operational_array:
  {{input_precision: [8, 8], unit_energy: 0, unit_area: 1, dimensions: [D1, D2], sizes: [{outputs}, {pixels}]}}
"""
MAPPING = """- name: default
  spatial_mapping: {{D1: ['{along}, {outputs}'], D2: ['OX, {pixels}']}}
  memory_operand_links: {{O: O, W: I2, I: I1}}
"""
LAST = "'I1, tl', 'I2, tl', 'O, tl', 'O, fl'"  # what moves through the port of the memory that holds everything
BETWEEN = "'I1, fh', 'I1, tl', 'I2, fh', 'I2, tl', 'O, fh', 'O, tl', 'O, fl', 'O, th'"
HUGE = 1 << 36
LOOPS = 1  # of a size that a temporal mapping is cut into at most: ideal cycles are the same for all
SEARCHED = 6  # where they are not
NEAR = 1e-4  # what a byte of the SRAM costs where one of DRAM costs 1


def ideal_cycles(shapes: Sequence[LayerShape], lanes: tuple[int, int]) -> list[int]:
    """Return the ideal cycles of layers without groups on an array of output lanes x pixel lanes."""
    memories = _registers(1) + _memory("memory", HUGE, 1, _port(LAST, 32))
    return [int(x.ideal_temporal_cycle) for x in _run(shapes, lanes, memories, "latency", LOOPS)]


@cache
def dram_bytes(shape: LayerShape, lanes: tuple[int, int], room_bits: int) -> int:
    """Return the bytes from and to DRAM of a layer by itself, 8 bits a word, with an SRAM of so many bits."""
    memories = _registers(0)
    memories += _memory("sram", room_bits, NEAR, _port(BETWEEN, 8))
    memories += _memory("dram", HUGE, 1, _port(LAST, 8, 8))
    (found,) = _run([shape], lanes, memories, "energy", SEARCHED)
    return round(sum(costs[-1] for costs in found.mem_energy_breakdown.values()))


def _registers(cost: int) -> str:
    ports = (PORT.format(name=name, kind=kind, moves=moves, least=32, most=4096) for name, kind, moves in PORTS)
    return MEMORY.format(name="registers", bits=32, cost=cost, operands="O", served="", ports=", ".join(ports))


def _memory(name: str, bits: int, cost: float, ports: str) -> str:
    return MEMORY.format(name=name, bits=bits, cost=cost, operands="I1, I2, O", served="D1, D2", ports=ports)


def _port(moves: str, least: int, most: int = 4096) -> str:
    return PORT.format(name="rw_port_1", kind="read_write", moves=moves, least=least, most=most)


def _run(shapes: Sequence[LayerShape], lanes: tuple[int, int], memories: str, best: str, loops: int) -> list[Any]:
    """Return what ZigZag says of each layer; all have groups, or none."""
    outputs, pixels = lanes
    along = "K" if _groups(shapes[0]) == 1 else "G"
    logging.disable(logging.WARNING)
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "array.yaml").write_text(ARRAY.format(memories=memories, outputs=outputs, pixels=pixels))
            (folder / "mapping.yaml").write_text(MAPPING.format(along=along, outputs=outputs, pixels=pixels))
            _, _, found = get_hardware_performance_zigzag(
                [_layer(index, shape) for index, shape in enumerate(shapes)],
                str(folder / "array.yaml"),
                str(folder / "mapping.yaml"),
                opt=best,
                dump_folder=str(folder / "out"),
                lpf_limit=loops,
                nb_spatial_mappings_generated=1,
                loma_show_progress_bar=False,
            )
    finally:
        logging.disable(logging.NOTSET)
    return [layer for layer, _ in found[0][1]]


def _groups(shape: LayerShape) -> int:
    """Return how many groups a dense layer has."""
    return shape.outputs * shape.maps // shape.pairs


def _layer(index: int, shape: LayerShape) -> dict[str, Any]:
    """Return a layer in the words of ZigZag's workloads."""
    groups = _groups(shape)
    sizes = {"B": 1, "K": shape.outputs // groups, "G": groups, "OY": shape.size[0], "OX": shape.size[1]}
    sizes |= {"C": shape.maps // groups, "FY": shape.kernel[0], "FX": shape.kernel[1]}
    return {
        "id": index,
        "name": shape.name,
        "operator_type": "Conv",
        "equation": "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]",
        "dimension_relations": [f"ix={shape.stride[1]}*ox+1*fx", f"iy={shape.stride[0]}*oy+1*fy"],
        "loop_dims": list(sizes),
        "loop_sizes": list(sizes.values()),
        "operand_precision": {"W": 8, "I": 8, "O": 32, "O_final": 8},
        "operand_source": {"I": index, "W": index},
    }

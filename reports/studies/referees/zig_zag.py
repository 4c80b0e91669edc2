"""Layers in ZigZag (package ``zigzag-dse``): the cycles that its temporal mapping has, without stalls.

The array has output maps along one side and the pixels of a row along the other, as ours has; one memory holds
everything, for ideal cycles follow from the spatial mapping alone.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zigzag.api import get_hardware_performance_zigzag

from accel.cost.shapes import LayerShape

PORT = "{{name: {name}, type: {kind}, bandwidth_min: 32, bandwidth_max: 4096, allocation: [{moves}]}}"
PORTS = (
    ("w_port_1", "write", "'O, fh'"),
    ("r_port_1", "read", "'O, tl'"),
    ("w_port_2", "write", "'O, fl'"),
    ("r_port_2", "read", "'O, th'"),
)
ARRAY = """name: referee
memories:
  registers:
    {{size: 32, r_cost: 1, w_cost: 1, area: 0, latency: 1, operands: [O], served_dimensions: [], ports: [{inner}]}}
  memory:
    {{size: 1073741824, r_cost: 1, w_cost: 1, area: 0, latency: 1, operands: [I1, I2, O], served_dimensions: [D1, D2],
     ports: [{outer}]}}
operational_array:
  {{input_precision: [8, 8], unit_energy: 1, unit_area: 1, dimensions: [D1, D2], sizes: [{outputs}, {pixels}]}}
"""
MAPPING = """- name: default
  spatial_mapping: {{D1: ['K, {outputs}'], D2: ['OX, {pixels}']}}
  memory_operand_links: {{O: O, W: I2, I: I1}}
"""
LOOPS = 1  # of a size that a temporal mapping is cut into at most: ideal cycles are the same for all


def ideal_cycles(shapes: Sequence[LayerShape], lanes: tuple[int, int]) -> list[int]:
    """Return the ideal cycles of layers without groups on an array of output lanes x pixel lanes."""
    outputs, pixels = lanes
    inner = ", ".join(PORT.format(name=name, kind=kind, moves=moves) for name, kind, moves in PORTS)
    outer = PORT.format(name="rw_port_1", kind="read_write", moves="'I1, tl', 'I2, tl', 'O, tl', 'O, fl'")
    logging.disable(logging.WARNING)
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "array.yaml").write_text(ARRAY.format(inner=inner, outer=outer, outputs=outputs, pixels=pixels))
            (folder / "mapping.yaml").write_text(MAPPING.format(outputs=outputs, pixels=pixels))
            _, _, found = get_hardware_performance_zigzag(
                [_layer(index, shape) for index, shape in enumerate(shapes)],
                str(folder / "array.yaml"),
                str(folder / "mapping.yaml"),
                dump_folder=str(folder / "out"),
                lpf_limit=LOOPS,
                nb_spatial_mappings_generated=1,
                loma_show_progress_bar=False,
            )
    finally:
        logging.disable(logging.NOTSET)
    return [int(layer.ideal_temporal_cycle) for layer, _ in found[0][1]]


def _layer(index: int, shape: LayerShape) -> dict[str, Any]:
    """Return a layer in the words of ZigZag's workloads."""
    sizes = {"B": 1, "K": shape.outputs, "G": 1, "OY": shape.size[0], "OX": shape.size[1]}
    sizes |= {"C": shape.maps, "FY": shape.kernel[0], "FX": shape.kernel[1]}
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

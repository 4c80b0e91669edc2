"""What the referees and our closed forms say of the layers of some networks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zigzag

from accel.cost.shapes import LayerShape
from accel.cost.stalls import schedule_of
from accel.cost.systolic import DATAFLOWS, DENSE, Accesses, Gemm, Kept, SystolicArray
from accel.demand import bare
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower_shapes
from reports.studies.referees.scale_sim import simulated
from reports.studies.referees.zig_zag import ideal_cycles
from reports.workflow.load import sizeable

RESNET18 = "resnet18"  # as ZigZag ships it
NETWORKS = ("lenet5", "resnet8", "dscnn", "mobilenet-0.25", "autoencoder", RESNET18)
SIDE = 32  # rows and columns of the systolic array
LANES = 16, 16  # output maps x pixels of a row
SPARSE = (Kept(2, 4), Kept(1, 4))
FEATURES = dict.fromkeys(("split", "flat", "pool", "lines", "overlap", "prefetch", "combine"), False)


@dataclass(frozen=True)
class Product:
    """A product of matrices on a systolic array, as both say it.

    Parameters
    ----------
    network : str
    gemm : Gemm
    layers : int
        Of the network that are this product.
    stationary : str
    kept : Kept
    ours, theirs : (int, Accesses)
        Cycles, and what is read and written; index bits are ours alone.
    """

    network: str
    gemm: Gemm
    layers: int
    stationary: str
    kept: Kept
    ours: tuple[int, Accesses]
    theirs: tuple[int, Accesses]

    @property
    def equal(self) -> bool:
        """Whether both say the same of everything that both know."""
        (cycles, mine), (other_cycles, its) = self.ours, self.theirs
        words = [(x.input_reads, x.weight_reads, x.output_writes) for x in (mine, its)]
        return cycles == other_cycles and words[0] == words[1]


def program_of(network: str) -> Program:
    """Return a network as a Program of shapes alone."""
    if network == RESNET18:
        made = sizeable(str(Path(zigzag.__file__).parent / "inputs" / "workload" / "resnet18.onnx"), None)
        assert isinstance(made, PrunedNetwork)
    else:
        made = PrunedNetwork(ARCHITECTURES[network]())
    return lower_shapes(made, Widths(8, 8))


def products(network: str) -> Iterator[Product]:
    """Yield the different products of a network's layers, dense by all dataflows and sparse where weights stay.

    ResNet-18 has no inputs that stay: SCALE-Sim would take an hour for its many folds.
    """
    program, counts = program_of(network), dict[Gemm, int]()
    for layer in program.mac_layers:
        gemm = Gemm.of(LayerShape.of(program, layer))
        counts[gemm] = counts.get(gemm, 0) + 1
    for flow in DATAFLOWS:
        if network == RESNET18 and flow == "input":
            continue
        for gemm, layers in counts.items():
            for kept in (DENSE, *(SPARSE if flow == "weight" else ())):
                array = SystolicArray(SIDE, SIDE, flow)
                ours = array.cycles(gemm, kept), array.accesses(gemm, kept)
                yield Product(network, gemm, layers, flow, kept, ours, simulated(array, gemm, kept))


def ideals(program: Program, lanes: tuple[int, int] = LANES) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each layer without groups, the steps of our array of so many lanes, and ZigZag's ideal cycles.

    Our array has none of the features that let a tile pass the end of a row or lanes share a sum.
    """
    layers = [layer for layer in program.mac_layers if layer.kept.all()]
    steps = {x.name: x.compute_cycles for x in schedule_of(program, bare(*lanes, 8, **FEATURES))}
    theirs = ideal_cycles([LayerShape.of(program, layer) for layer in layers], lanes)
    for layer, cycles in zip(layers, theirs, strict=True):
        yield layer.name, steps[layer.name], cycles

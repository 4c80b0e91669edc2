"""One product of matrices in SCALE-Sim v3 (package ``scalesim``): the cycles and accesses of its compute part.

Its memories are left out, as our closed forms take them to keep up. Words are counted in the matrices of demands that
it makes, cycle by cycle and port by port. The counters of its report say the same but for two: to outputs of an output
stationary array they add rows + columns of each fold, and inputs of n of m weights they scale by m / n.
"""

import contextlib
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scalesim.layout_utils import layouts
from scalesim.scale_config import scale_config
from scalesim.single_layer_sim import single_layer_sim
from scalesim.topology_utils import topologies

from accel.cost.systolic import DENSE, Accesses, Gemm, Kept, SystolicArray

FLOWS = {"weight": "ws", "output": "os", "input": "is"}
CONFIGURATION = """[general]
run_name = referee
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {columns}
IfmapSramSzkB = 1
FilterSramSzkB = 1
OfmapSramSzkB = 1
IfmapOffset = 0
FilterOffset = 1000000000
OfmapOffset = 2000000000
Dataflow = {flow}
Bandwidth = 1
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 1
IfmapSRAMBankNum = 1
IfmapSRAMBankPort = 1
FilterCustomLayout = False
FilterSRAMBankBandwidth = 1
FilterSRAMBankNum = 1
FilterSRAMBankPort = 1
[sparsity]
SparsitySupport = {sparse}
SparseRep = ellpack_block
OptimizedMapping = False
BlockSize = {block}
RandomNumberGeneratorSeed = 0
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""


def simulated(array: SystolicArray, gemm: Gemm, kept: Kept = DENSE) -> tuple[int, Accesses]:
    """Return the cycles of a product, as the tool's reports count them, and its reads and writes.

    Of n:m sparsity, which it has for weight stationary arrays alone, it has no bits of an index.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        inputs, weights, outputs = _demands(array, gemm, kept)
    return len(outputs) - 1, Accesses(
        input_reads=_asked(inputs), weight_reads=_asked(weights), output_writes=_asked(outputs)
    )


def _demands(array: SystolicArray, gemm: Gemm, kept: Kept) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return who asks when for an input, for a weight and for the place of an output."""
    layer = single_layer_sim()
    config, topology = _configured(array, kept), _topology(gemm, kept)
    layer.set_params(layer_id=0, config_obj=config, topology_obj=topology, layout_obj=layouts(), verbose=False)
    operands, compute = layer.op_mat_obj, layer.compute_system
    (_, inputs), (_, weights) = operands.get_ifmap_matrix(), operands.get_filter_matrix()
    _, outputs = operands.get_ofmap_matrix()
    words = {"config_obj": config, "ifmap_op_mat": inputs, "filter_op_mat": weights, "ofmap_op_mat": outputs}
    if array.stationary == "weight":
        words |= {"sparsity_ratio_N": layer.sparsity_ratio_N, "sparsity_ratio_M": layer.sparsity_ratio_M}
        words |= {"ifmap_op_mat_original": operands.ifmap_addr_matrix_original}
        words |= {"sparsity_filter_array": operands.sparse_filter_array}
    compute.set_params(**words)
    found: tuple[np.ndarray, np.ndarray, np.ndarray] = compute.get_demand_matrices()
    return found


def _configured(array: SystolicArray, kept: Kept) -> scale_config:
    """Return what the tool reads of a file that says how an array is."""
    text = CONFIGURATION.format(
        rows=array.rows, columns=array.columns, flow=FLOWS[array.stationary], sparse=kept != DENSE, block=kept.m
    )
    config = scale_config()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scale.cfg"
        path.write_text(text)
        config.read_conf_file(str(path))
    return config


def _topology(gemm: Gemm, kept: Kept) -> topologies:
    """Return a product as the tool has it: a convolution of one channel whose kernel is a row of K."""
    topology, sizes = topologies(), [gemm.m, gemm.k, 1, gemm.k, 1, gemm.n, 1, 1, kept.n, kept.m]
    topology.load_layer_params_from_list("product", ["product", *sizes])
    topology.topo_calc_hyperparams()
    return topology


def _asked(demands: np.ndarray) -> int:
    """Return how many words are asked for: -1 stands for none."""
    return int(np.count_nonzero(demands != -1))

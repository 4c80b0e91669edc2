"""Zeros of signals over the images that a network is calibrated with: counted as the engine runs them, and saved."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from accel.cost import Estimate, Invariants, LayerZeros, zero_gated, zeros_of
from accel.program import Program
from accel.records import record_of
from reports.shared.schema import Kind
from reports.workflow.sources import check_range, source_of

KIND = Kind("espalier-zeros", 1, "the zeros of a network's signals and weights")


@dataclass(frozen=True, kw_only=True)
class ZeroRow:
    """A layer that holds weights.

    Parameters
    ----------
    name : str
    reads : str
        The tensor of its input maps.
    signal_density : float
        The share of its signals that are not zero, over all images; borders are none of them.
    map_densities : tuple of float
        The same for each of its maps.
    weights, nonzero_weights : int
        That are kept, and those of them that are not zero in the Program.
    dense_macs, macs : int
        For one image, before pruning and after.
    effective_macs : float
        Those whose weight and signal are both not zero, on average of the images.
    joules, gated_joules : float or None
        Estimates for one image, of the array and of one whose lanes hold still at zeros; None where there is no array,
        or nothing is known of its technology's energy.
    """

    name: str
    reads: str
    signal_density: float
    map_densities: tuple[float, ...]
    weights: int
    nonzero_weights: int
    dense_macs: int
    macs: int
    effective_macs: float
    joules: float | None = None
    gated_joules: float | None = None


@dataclass(frozen=True, kw_only=True)
class Zeros:
    """What `espalier size` says of a network's zeros.

    Parameters
    ----------
    network, pattern : str
    data : str
        What the images are called; they are training images, with which steps are found.
    images : int
    layers : tuple of ZeroRow
        In running order.
    joules, gated_joules : float or None
        Of one image in all, as those of layers.
    """

    network: str
    pattern: str
    data: str
    images: int
    layers: tuple[ZeroRow, ...]
    joules: float | None = None
    gated_joules: float | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def effective_macs(self) -> float:
        """MACs of one image without a zero operand, on average."""
        return sum(layer.effective_macs for layer in self.layers)

    def to_json(self) -> str:
        """Return it as a file of `KIND`, a layer a line."""
        head = asdict(self)
        return KIND.written(head, layers=head.pop("layers"))

    @classmethod
    def from_json(cls, text: str) -> "Zeros":
        """Return what `to_json` wrote; raises EspalierError if it is something else."""
        return KIND.read(text, lambda record: record_of(cls, record))


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What was counted of a Program, whatever array it runs on."""

    program: Program
    data: str
    images: int
    layers: Sequence[LayerZeros]

    def on_array(self, e: Estimate | None = None, invariants: Invariants | None = None) -> Zeros:
        """Return the results, with the energies of an estimate of the same layers where there is one."""
        before, after = {}, {}
        gated = zero_gated(e, invariants, self.layers) if e and invariants else None
        if e and gated:
            before, after = ({x.name: _joules(x) for x in one.layers} for one in (e, gated))
        dense = {layer.name: layer.dense_macs for layer in self.program.mac_layers}
        rows = tuple(
            ZeroRow(
                name=x.name,
                reads=x.reads,
                signal_density=x.signal_density,
                map_densities=x.map_densities,
                weights=x.weights,
                nonzero_weights=x.nonzero_weights,
                dense_macs=dense[x.name],
                macs=x.macs,
                effective_macs=x.effective_macs,
                joules=before.get(x.name),
                gated_joules=after.get(x.name),
            )
            for x in self.layers
        )
        named = {"network": self.program.name, "pattern": self.program.pattern, "data": self.data}
        return Zeros(**named, images=self.images, layers=rows, joules=_joules(e), gated_joules=_joules(gated))


def _joules(of: Any) -> float | None:
    return of.energy.total_joules if of and of.energy else None


def counted(name: str, program: Program, data: str | None, data_dir: str | None, images: int | None) -> Counted:
    """Run a Program over images that it was calibrated with, and return what is zero.

    Parameters
    ----------
    name : str
        The network or Program, as the command was given it.
    program : Program
    data, data_dir : str or None
        As `reports.workflow.sources.source_of` takes them.
    images : int or None
        How many; None: all.

    Raises
    ------
    EspalierError
        Nothing says where images are, they do not fit, or there are not as many.
    OSError
        Something cannot be read.
    """
    from sim.engine import compile_program  # with numba, which whoever asks for sizes alone need not wait for
    from sim.nonzeros import count_nonzeros

    found = source_of(name, program, data, data_dir).calibration()
    check_range(found, program, name)
    found = found if images is None else found.take(images)
    nonzeros = count_nonzeros(compile_program(program), found.codes(program.input_signal))
    layers = zeros_of(program, nonzeros, len(found))
    return Counted(program=program, data=found.name, images=len(found), layers=layers)

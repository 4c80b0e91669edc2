"""The arrays that are mapped, the images that their gates run, in the order in which they are run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from accel.array import MacArray
from accel.cost.design import CLOCK_HZ
from accel.interchange.data import datasets
from accel.interchange.zoo import DENSE, load
from accel.program import Program
from accel.quantize import Widths, lower
from reports.workflow.parsing import parse_array

LIBRARY = "sky130_fd_sc_hd__tt_025C_1v80"
SRAM = "docs/sky130-sram.toml"
CLOCK = CLOCK_HZ
NETWORKS = {"digits": "digits", "lenet5": "mnist"}  # and their images
KERNEL = "kernel"
PATTERNS = (DENSE, "feature-map", KERNEL, "kernel@8", "ikss", "block-4", "irregular")
SHAPES = ("1x1", "2x2", "4x2", "4x4")
SHAPE = "2x2"  # on which patterns are compared
BITS = (4, 8)
STEPS_FROM = 500  # training images that give the steps of quantisers


@dataclass(frozen=True, kw_only=True)
class Task:
    """One image of a network on the gates of an array.

    Parameters
    ----------
    network, pattern : str
    bits : int
        Of weights and signals; the image has 8.
    shape : str
        Output lanes x pixel lanes.
    lists : bool
        Whether the array has lists, or is for dense layers alone.
    """

    network: str
    pattern: str
    bits: int
    shape: str = SHAPE
    lists: bool = True

    @property
    def build(self) -> tuple[str, int, bool]:
        """What tells arrays apart: all networks and patterns of a word length share one."""
        return self.shape, self.bits, self.lists

    @property
    def name(self) -> str:
        """A file name."""
        return "-".join(
            (self.network, self.pattern, f"{self.bits}bit", self.shape, "sparse" if self.lists else "dense")
        )


CALIBRATING = tuple(Task(network="digits", pattern=pattern, bits=BITS[0]) for pattern in (DENSE, KERNEL, "irregular"))
"""The runs that the table is calibrated on; all others are held out."""


def of_shape(shape: str) -> list[Task]:
    """Return what the table of arrays needs of one: the pruned and the dense network with lists, and it without."""
    kernel, dense = (Task(network="digits", pattern=x, bits=BITS[0], shape=shape) for x in (KERNEL, DENSE))
    return [kernel, dense, replace(dense, lists=False)]


def tasks() -> list[Task]:
    """Return all, the most telling first, so that arrays that are large or slow to map come last."""
    every = [
        Task(network=network, pattern=pattern, bits=bits)
        for bits, network, pattern in product(BITS, NETWORKS, PATTERNS)
    ]
    narrow, wide = ([task for task in every if task.bits == bits] for bits in BITS)
    held_out = [task for task in narrow if task.network == "lenet5" and task.pattern in (KERNEL, "block-4")]
    shapes = {shape: of_shape(shape) for shape in SHAPES}
    order = [*CALIBRATING, *held_out, *shapes[SHAPE], *narrow, *shapes["4x4"], *wide[: len(PATTERNS)], *shapes["1x1"]]
    order += [*shapes["4x2"], *wide]
    return list(dict.fromkeys(order))


@cache
def program(network: str, pattern: str, bits: int) -> Program:
    """Return a network of the zoo, quantised after training by its training images."""
    images = datasets.load(NETWORKS[network], "train").take(STEPS_FROM).pixels()
    return lower(load(network, pattern), Widths(bits, bits), images)


def array_of(build: tuple[str, int, bool]) -> MacArray:
    """Return the array of `Task.build`, whose memories are large enough for every network and pattern."""
    shape, bits, lists = build
    programs: Sequence[Program] = [program(network, pattern, bits) for network, pattern in product(NETWORKS, PATTERNS)]
    array = parse_array(shape, programs)
    return array if lists else replace(array, list_entries=0)

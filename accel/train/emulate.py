"""A Program in float64 as training sees it, exact where that can be proven."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from accel.errors import EspalierError
from accel.fixedpoint import overflow_code, round_shift
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, ClipLayer, MacLayer
from accel.train.walk import Accumulating, accumulator_steps, activations, check_accumulators

FLOAT_BITS = 53  # float64 rounds to one part in 2**53
BATCH = 256


@torch.no_grad()
def emulate(program: Program, codes: ArrayLike) -> dict[str, NDArray[np.int64]]:
    """Return the codes of every tensor, by layer name, as `sim.golden.run` does, computed on real values.

    Weights, biases and signals are reals, code * step, in float64; sums are brought back to the accumulator's codes,
    and requantised by the Program's multipliers, shift, rounding and overflow.

    Parameters
    ----------
    program : Program
    codes : int array (images, maps, height, width)
        Codes of the input signal.

    Raises
    ------
    EspalierError
        The codes do not fit the Program's input, an accumulator overflows, or is so wide that float64 might miss one
        of its codes.

    Notes
    -----
    It gives every code, whatever the steps, where the error of a sum stays below half an accumulator code. A sum of K
    products and a bias meets at most K + 10 roundings on the way (three in each product of two reals code * step, one
    in each addition, a few in the bias and in steps), each of one part in 2**53 of the sum of magnitudes, which is less
    than 1.5 * 2**accumulator_bits codes. So (K + 10) * 2**(accumulator_bits + 2) <= 2**53 suffices: 40 bits with the
    products of 500 inputs. With power-of-two steps nothing is rounded at all until 2**53.
    """
    images = program.check_codes(codes)
    exact = _Exact(program)
    parts = [exact.run(images[first : first + BATCH]) for first in range(0, max(len(images), 1), BATCH)]
    return {name: np.concatenate([part[name] for part in parts]) for name in program.shapes}


class _Exact:
    """The arithmetic of a Program that is done: its own weights, its own requantisation."""

    def __init__(self, program: Program) -> None:
        self.program = program
        check_accumulators(program)
        for layer in program.layers:
            if isinstance(layer, Accumulating):
                _check(layer)
        widest = max(program.signals.values(), key=lambda signal: signal.bits)
        if widest.bits > FLOAT_BITS - 2:
            raise EspalierError(f"{program.name}: float64 does not hold every code of {widest.bits} bits")

    def run(self, codes: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Return the codes of every tensor for input codes."""
        signals = self.program.signals
        values = activations(self.program, self, torch.from_numpy(signals[INPUT].decode(codes)))
        return {name: np.rint(tensor.numpy() / signals[name].step).astype(np.int64) for name, tensor in values.items()}

    def arrays(self, layer: MacLayer) -> tuple[Tensor, Tensor]:
        """Return the layer's own codes as reals."""
        outputs, maps, _ = layer.shape
        weight = (layer.matrix * layer.weight_steps[:, None]).reshape(outputs, maps, *_kernel(layer))
        return torch.from_numpy(weight), torch.from_numpy(layer.bias * accumulator_steps(self.program, layer))

    def summed(self, layer: MacLayer, sums: Tensor) -> Tensor:
        """Return sums as they are."""
        return sums

    def bound(self, layer: ClipLayer) -> Tensor:
        """Return the bound as a real."""
        return torch.tensor(layer.highest * self.program.signals[layer.name].step, dtype=torch.float64)

    def finished(self, layer: Accumulating, sums: Tensor) -> Tensor:
        """Find the accumulators, and do with integers what the Program says."""
        steps = torch.from_numpy(accumulator_steps(self.program, layer))
        codes = (sums / _by_output(steps, sums)).round().to(torch.int64)
        if layer.requantize is not None:
            form, shift = layer.output.format, layer.requantize.shift
            scales = torch.from_numpy(layer.requantize.of_outputs(layer.requantize.outputs)).T
            multipliers, offsets = (_by_output(numbers, sums) for numbers in scales)
            products = codes * multipliers + offsets
            products = products.clamp(min=0) if layer.relu else products
            modes = form.width, form.signed, form.overflow, form.saturation_bits
            codes = overflow_code(round_shift(products, shift, form.rounding), products >> shift, *modes)
        return codes.to(torch.float64) * layer.output.step


def _check(layer: Accumulating) -> None:
    terms = 2 if isinstance(layer, AddLayer) else _taps(layer)
    if (terms + 10) << (layer.accumulator_bits + 2) > 1 << FLOAT_BITS:
        bits = layer.accumulator_bits
        raise EspalierError(f"{layer.name}: float64 is not proven exact for {terms} terms in {bits} accumulator bits")


def _taps(layer: Accumulating) -> int:
    return layer.shape[1] * layer.shape[2] if isinstance(layer, MacLayer) else layer.window.taps  # type: ignore[union-attr]


def _kernel(layer: MacLayer) -> tuple[int, ...]:
    return layer.window.kernel if layer.window else ()


def _by_output(numbers: Tensor, sums: Tensor) -> Tensor:
    """Return (1,) or (M,) numbers in the shape in which they meet sums (images, M, ...)."""
    return numbers.reshape(-1, *(1,) * (sums.ndim - 2))

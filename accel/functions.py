"""Functions of one signal: in a network computed on real values, in a Program a table of codes."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError

Floats = NDArray[np.float64]


def _sigmoid(x: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -x))


def _normal_probability(x: Floats) -> Floats:
    erf = np.frompyfunc(math.erf, 1, 1)
    return 0.5 * (1 + np.asarray(erf(x / math.sqrt(2)), np.float64))


def _nearly_normal_probability(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


FUNCTIONS: dict[str, tuple[int, Callable[..., Floats]]] = {  # how many parameters it has, and the function
    "sigmoid": (0, _sigmoid),
    "tanh": (0, np.tanh),
    "hard_sigmoid": (2, lambda x, slope, middle: np.clip(slope * x + middle, 0, 1)),
    "leaky_relu": (1, lambda x, slope: np.where(x < 0, slope * x, x)),
    "elu": (1, lambda x, scale: np.where(x < 0, scale * np.expm1(np.minimum(x, 0)), x)),
    "softplus": (0, lambda x: np.logaddexp(0, x)),
    "normal_probability": (0, _normal_probability),
    "nearly_normal_probability": (0, _nearly_normal_probability),
}
"""Those of ONNX's operators; HardSwish, SiLU and GELU are the input times hard_sigmoid, sigmoid, normal_probability."""


def evaluate(name: str, parameters: Sequence[float], x: Floats, times_input: bool = False) -> Floats:
    """Return a function of real values, in double precision; `times_input` multiplies it by them.

    >>> evaluate("hard_sigmoid", (0.2, 0.5), np.array([-5.0, 0, 1])).tolist()
    [0.0, 0.5, 0.7]
    """
    values = FUNCTIONS[name][1](np.asarray(x, np.float64), *parameters)
    return values * x if times_input else values


def check_function(name: str, parameters: Sequence[float], where: str) -> None:
    """Raise EspalierError, naming `where`, unless there is such a function of as many finite parameters."""
    if name not in FUNCTIONS:
        raise EspalierError(f"{where}: there is no function {name!r}, those are {', '.join(FUNCTIONS)}")
    count = FUNCTIONS[name][0]
    if len(parameters) != count or not all(map(math.isfinite, parameters)):
        raise EspalierError(f"{where}: {name} takes {count} finite numbers, got {tuple(parameters)}")

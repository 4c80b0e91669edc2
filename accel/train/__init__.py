"""Training with PyTorch: a network fitted, or fitted again under its masks. The only package that imports torch."""

from accel.errors import EspalierError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise EspalierError("training needs PyTorch: pip install 'espalier-hw[train]'") from error

from accel.train.emulate import emulate
from accel.train.fit import error_rate, fit
from accel.train.gradual import Gradual
from accel.train.hessian import Curvatures, curvatures
from accel.train.initialize import initialize
from accel.train.learned_steps import StepRule
from accel.train.module import NetworkModule, to_module, to_network
from accel.train.quantized import QuantizedModule, Retrained, retrain_quantized
from accel.train.recipe import BFLOAT16, MSE, Recipe
from accel.train.run import Progress

__all__ = [
    "BFLOAT16",
    "MSE",
    "Curvatures",
    "Gradual",
    "NetworkModule",
    "Progress",
    "QuantizedModule",
    "Recipe",
    "Retrained",
    "StepRule",
    "curvatures",
    "emulate",
    "error_rate",
    "fit",
    "initialize",
    "retrain_quantized",
    "to_module",
    "to_network",
]

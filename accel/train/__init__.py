"""Training with PyTorch: a network fitted, or fitted again under its masks. The only package that imports torch."""

from accel.errors import EspalierError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise EspalierError("training needs PyTorch: pip install 'espalier-hw[train]'") from error

from accel.train.fit import Progress, error_rate, fit
from accel.train.initialize import initialize
from accel.train.module import NetworkModule, to_module, to_network
from accel.train.recipe import Recipe

__all__ = ["NetworkModule", "Progress", "Recipe", "error_rate", "fit", "initialize", "to_module", "to_network"]

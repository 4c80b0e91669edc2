"""A module of PyTorch as an ONNX file, in PyTorch's own words."""

import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from accel.errors import EspalierError
from accel.network import Network
from accel.train.module import to_module


def onnx_of_network(network: Network) -> bytes:
    """Return the ONNX file of a network of floats, as PyTorch writes that of its module, for any number of images.

    Raises
    ------
    EspalierError
        PyTorch cannot write it.
    """
    some = {"input_names": ["image"], "dynamic_axes": {"image": {0: "batch"}}}
    return onnx_of(to_module(network), torch.zeros(1, *network.input_shape), **some)


def onnx_of(module: nn.Module, example: Tensor, **settings: Any) -> bytes:
    """Return the ONNX file of a module in inference, for images like `example` (1, ...).

    `settings` are those of PyTorch's older exporter.

    Batch norms and dropouts count as they do in inference; whether the module trains is left as it was.

    Raises
    ------
    EspalierError
        PyTorch cannot write it: an operator has no counterpart, or `example` is not what it takes.
    """
    training, file = [part.training for part in module.modules()], io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # this exporter needs no further package; that it is the older one is known
            torch.onnx.export(module.eval(), (example,), file, dynamo=False, **settings)
    except Exception as error:  # whatever the module's own code raises too
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EspalierError(f"{type(module).__name__}: PyTorch writes no ONNX file of it: {reason}") from error
    finally:
        for part, was in zip(module.modules(), training, strict=True):
            part.training = was
    return file.getvalue()

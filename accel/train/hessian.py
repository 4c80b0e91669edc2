"""How much the loss curves along each layer's weights and signals: the traces of its Hessian, estimated.

Source: Dong et al., "HAWQ-V2: Hessian Aware trace-Weighted Quantization" (arXiv 1911.03852), for the trace as a measure
of what a change of a layer's weights or activations costs; Hutchinson's estimate of a trace by products with random
signs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from accel.network import Network
from accel.train.module import to_module
from accel.train.run import threads
from accel.train.samples import Images, Labels, Samples

SIGNS = np.array([-1, 1], np.float32)


@dataclass(frozen=True)
class Curvatures:
    """Mean second derivatives of the loss, by layer: along its weights, and along a tensor's values of all images."""

    weights: dict[str, float]
    signals: dict[str, float]


def curvatures(
    network: Network,
    images: Images,
    labels: Labels,
    generator: np.random.Generator,
    *,
    signals: Sequence[str] = (),
    probes: int = 16,
) -> Curvatures:
    """Return the mean over a tensor's values of the loss's second derivative, estimated, of each layer's weights.

    A change by d that has nothing to do with the curvature raises the loss, at a minimum, by about half of it times the
    squared norm of d. Where the estimate is negative it is 0.

    Parameters
    ----------
    network : Network
        In evaluation: batch norms use their statistics.
    images : float32 (N, C, H, W)
    labels : int64 (N,)
        The loss is the mean cross entropy.
    generator : numpy Generator
        Of the signs.
    signals : sequence of str
        Layers along whose outputs, for all of the images, it is asked for too.
    probes : int
        Of random signs; the estimate's error falls with the root of their number.

    Raises
    ------
    EspalierError
        The images or labels do not fit the network.
    """
    samples = Samples.checked(network, images, labels, torch.device("cpu"))
    module, layers = to_module(network), [layer.name for layer in network.weighted]
    with threads(1):  # another number gives other sums
        values = module.activations(samples.images)
        loss = F.cross_entropy(values[network.output].flatten(1), samples.labels)
        tensors: list[Tensor] = [module.operation(name).weight for name in layers]
        tensors += [values[name] for name in signals]
        slopes = torch.autograd.grad(loss, tensors, create_graph=True)
        totals = np.zeros(len(tensors))
        for _ in range(probes):
            signs = [torch.from_numpy(generator.choice(SIGNS, tuple(x.shape))) for x in slopes]
            products = torch.autograd.grad(slopes, tensors, signs, retain_graph=True)
            # products between two tensors come in too, and are zero in the mean
            totals += [float((sign * product).sum()) for sign, product in zip(signs, products, strict=True)]
    sizes = [tensor.numel() for tensor in tensors]
    means = [max(0.0, float(total) / probes / size) for total, size in zip(totals, sizes, strict=True)]
    return Curvatures(dict(zip(layers, means, strict=False)), dict(zip(signals, means[len(layers) :], strict=True)))

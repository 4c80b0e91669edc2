"""How much the loss curves along each layer's weights: the trace of its Hessian, estimated.

Source: Dong et al., "HAWQ-V2: Hessian Aware trace-Weighted Quantization" (arXiv 1911.03852), for the trace as a measure
of what a change of a layer's weights costs; Hutchinson's estimate of a trace by products with random signs.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from accel.network import Network
from accel.train.module import to_module
from accel.train.run import threads
from accel.train.samples import Images, Labels, Samples

SIGNS = np.array([-1, 1], np.float32)


def hessian_traces(
    network: Network, images: Images, labels: Labels, generator: np.random.Generator, probes: int = 16, workers: int = 1
) -> dict[str, float]:
    """Return for each layer with weights the mean over its weights of the loss's second derivative, estimated.

    A change of the weights by d that has nothing to do with the curvature raises the loss, at a minimum, by about half
    of it times the squared norm of d. Where the estimate is negative it is 0.

    Parameters
    ----------
    network : Network
        In evaluation: batch norms use their statistics.
    images : float32 (N, C, H, W)
    labels : int64 (N,)
        The loss is the mean cross entropy.
    generator : numpy Generator
        Of the signs.
    probes : int
        Of random signs; the estimate's error falls with the root of their number.
    workers : int
        Threads of the processor.

    Raises
    ------
    EspalierError
        The images or labels do not fit the network.
    """
    samples = Samples.checked(network, images, labels, torch.device("cpu"))
    module = to_module(network)
    weights: dict[str, Any] = {layer.name: module.operation(layer.name).weight for layer in network.weighted}
    totals = dict.fromkeys(weights, 0.0)
    with threads(workers):
        loss = F.cross_entropy(module(samples.images).flatten(1), samples.labels)
        slopes = torch.autograd.grad(loss, [*weights.values()], create_graph=True)
        for _ in range(probes):
            signs = [torch.from_numpy(generator.choice(SIGNS, tuple(x.shape))) for x in slopes]
            products = torch.autograd.grad(slopes, [*weights.values()], signs, retain_graph=True)
            for name, sign, product in zip(weights, signs, products, strict=True):
                totals[name] += float((sign * product).sum())
    return {name: max(0.0, total / probes / weights[name].numel()) for name, total in totals.items()}

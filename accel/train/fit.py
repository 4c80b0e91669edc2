"""Fitting a network, pruned or not, to labeled images."""

from dataclasses import replace
from pathlib import Path

import torch

from accel.network import Network
from accel.pruned import Groups, PrunedNetwork
from accel.train.checkpoint import Checkpoint, fingerprint
from accel.train.gradual import Gradual, GradualRun
from accel.train.module import to_module, to_network
from accel.train.recipe import Recipe
from accel.train.run import Listener, Run, share_of_errors
from accel.train.samples import Images, Labels, Samples, pick_device


def fit(
    pruned: PrunedNetwork,
    images: Images,
    labels: Labels,
    recipe: Recipe,
    *,
    groups: Groups | None = None,
    teacher: Network | None = None,
    gradual: Gradual | None = None,
    validation: tuple[Images, Labels] | None = None,
    device: str | torch.device | None = None,
    checkpoint: Path | None = None,
    progress: Listener | None = None,
) -> PrunedNetwork:
    """Return `pruned` with weights trained by `recipe` from those that it has; its masks hold after every step.

    On a CPU the same input gives the same bytes, whatever number of threads PyTorch has been set to use, also when the
    run was interrupted and continued from its checkpoint.

    Parameters
    ----------
    pruned : PrunedNetwork
    images : float32 (N, C, H, W)
        Pixels 0..1.
    labels : int64 (N,)
    recipe : Recipe
    groups : mapping of layer name to integers (M, C, T), optional
        Which weights of a layer `recipe.group_lasso` shrinks together: those with the same number.
    teacher : Network, optional
        Whose scores for the same images are learned too, with the share of the loss that is `recipe.distillation`.
    gradual : Gradual, optional
        How masks of layers that have none come about in the course of the training.
    validation : (images, labels), optional
        Only reported, unless `recipe.best` has the epoch chosen by them.
    device : str or torch.device, optional
        A GPU if there is one.
    checkpoint : Path, optional
        Written after each epoch; if it is there already, the run goes on from it.
    progress : function of Progress, optional
        Called after each step, and at an epoch's end only when the checkpoint has been written.

    Raises
    ------
    EspalierError
        Data or checkpoint do not fit, or the training diverged.

    Notes
    -----
    The group lasso is Yuan and Lin's; Wen et al. ("Learning Structured Sparsity in Deep Neural Networks") brought it to
    networks. Ours: the step that shrinks is apart from the gradient's, as AdamW's decay is, so that groups reach zero.
    Distillation is Hinton et al.'s ("Distilling the Knowledge in a Neural Network", arXiv 1503.02531, section 2).
    """
    module = to_module(pruned.network)
    given = module, pruned, images, labels, recipe, pick_device(device), validation, groups, teacher
    run = GradualRun(gradual, *given) if gradual else Run(*given)
    store = None
    if checkpoint:
        what = fingerprint(pruned, images, labels, recipe, groups, teacher, validation)
        store = Checkpoint(Path(checkpoint), what | (gradual.fingerprint() if gradual else {}))
    run.train(store, progress)
    masks = run.masks if isinstance(run, GradualRun) else {}
    return replace(pruned, network=to_network(module), masks={**pruned.masks, **masks})


def error_rate(network: Network, images: Images, labels: Labels, device: str | torch.device | None = None) -> float:
    """Return the share (0..1) of images whose highest score is not that of their label.

    Raises
    ------
    EspalierError
        The images or labels do not fit the network.
    """
    place = pick_device(device)
    samples = Samples.checked(network, images, labels, place)
    return share_of_errors(to_module(network).to(place), samples)

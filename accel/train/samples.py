"""The images that a network learns from: checked once, put on the device, dealt out in batches."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from accel.errors import EspalierError
from accel.network import Network
from accel.train.recipe import CROSS_ENTROPY, MSE, Recipe

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def pick_device(device: str | torch.device | None) -> torch.device:
    """Return the device asked for; where none is, the GPU if there is one.

    Raises
    ------
    EspalierError
        This PyTorch cannot compute on that device.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise EspalierError(f"device {str(device)!r} cannot be used: {str(error).splitlines()[0]}") from error


@dataclass(frozen=True, eq=False)
class Samples:
    """Images (N, C, H, W) and labels (N,) on one device; of those that are to come out again, their variance."""

    images: Tensor
    labels: Tensor
    variance: float | None = None

    @classmethod
    def checked(
        cls, network: Network, images: Images, labels: Labels, device: torch.device, loss: str = CROSS_ENTROPY
    ) -> "Samples":
        """Return a copy on `device` of data that fit the network; labels are not needed where `loss` needs none.

        Raises
        ------
        EspalierError
            The images are not float, finite and of the network's input shape; the labels are not as many, or name
            no class; there is nothing; or a network that is to give images again gives another number of pixels.
        """
        images, labels = np.ascontiguousarray(images), np.ascontiguousarray(labels)
        problem, again = _problem_of_images(network, images), loss == MSE
        problem = problem or (
            _problem_of_outputs(network) if again else _problem_of_labels(network, labels, len(images))
        )
        if problem:
            raise EspalierError(f"{network.name}: {problem}")
        variance = (float(images.var(axis=0, dtype=np.float64).mean()) or 1.0) if again else None
        return cls(
            torch.tensor(images, dtype=torch.float32, device=device),
            torch.tensor(np.zeros(len(images)) if again else labels, dtype=torch.int64, device=device),
            variance,
        )

    def wrong(self, scores: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Return what is wrong (0..1) with each image's scores (N, classes): whether the highest is not the label's.

        Where the image should come out again: how much of the variance of all its scores miss, at most all of it.
        """
        if self.variance is None:
            return scores.argmax(1) != labels
        return ((scores - images.flatten(1)).square().mean(1) / self.variance).clamp(max=1)

    def __len__(self) -> int:
        return len(self.labels)

    def steps(self, batch_size: int) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self) / batch_size)

    def batches(self, recipe: Recipe, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images and labels of one epoch in a drawn order, shifted and mirrored as the recipe says."""
        parts = self._draws(recipe, epoch)
        drawn = torch.from_numpy(np.concatenate(parts, axis=1)).to(self.images.device)  # at once: each transfer waits
        for index, down, right, mirrored in drawn.split([part.shape[1] for part in parts], dim=1):
            images = self.images[index]
            if recipe.shift_pixels:
                images = shifted(images, down, right, recipe.shift_pixels)
            if recipe.flip:
                images = flipped(images, mirrored > 0)
            # convolutions and pools that follow take after their input, and on a CPU are up to twice as fast like this
            yield images.contiguous(memory_format=torch.channels_last), self.labels[index]

    def _draws(self, recipe: Recipe, epoch: int) -> list[NDArray[np.int64]]:
        """Return for each batch (4, n): the images, how far they move down and right, and whether they are mirrored."""
        rng, reach, draws = recipe.generator(epoch), recipe.shift_pixels, list[NDArray[np.int64]]()
        for chosen in np.array_split(rng.permutation(len(self)), self.steps(recipe.batch_size)):
            moves = (
                rng.integers(-reach, reach, (2, len(chosen)), endpoint=True) if reach else np.zeros((2, len(chosen)))
            )
            mirrored = rng.random(len(chosen)) < 0.5 if recipe.flip else np.zeros(len(chosen))
            draws.append(np.stack([chosen, *moves, mirrored]).astype(np.int64))
        return draws


def shifted(images: Tensor, down: Tensor, right: Tensor, reach: int) -> Tensor:
    """Return images (N, C, H, W) moved by `down` and `right` (N,), -reach..reach pixels, zeros moving in."""
    height, width = images.shape[2:]
    windows = F.pad(images, (reach,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images), device=images.device), :, reach - down, reach - right]


def flipped(images: Tensor, chosen: Tensor) -> Tensor:
    """Return images (N, C, H, W), the `chosen` (N,) of them mirrored left to right."""
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def _problem_of_images(network: Network, images: NDArray[np.generic]) -> str | None:
    if images.ndim != 4 or images.shape[1:] != network.input_shape or not len(images):
        return f"images must be (N, {', '.join(map(str, network.input_shape))}) with N at least 1, got {images.shape}"
    if not np.issubdtype(images.dtype, np.floating):
        return f"images must be float32 in 0..1, got {images.dtype}"
    if not np.isfinite([images.min(), images.max()]).all():  # the minimum of anything with a NaN is NaN
        return "images hold a value that is not finite"
    return None


def _problem_of_outputs(network: Network) -> str | None:
    outputs, pixels = math.prod(network.shapes[network.output]), math.prod(network.input_shape)
    return None if outputs == pixels else f"gives {outputs:,} numbers for an image of {pixels:,}; mse needs as many"


def _problem_of_labels(network: Network, labels: NDArray[np.generic], images: int) -> str | None:
    scores = network.shapes[network.output]
    if math.prod(scores[1:]) != 1:
        return f"its output must be one score for each class, got the shape {scores}"
    if labels.shape != (images,) or not np.issubdtype(labels.dtype, np.integer):
        return f"labels must be {images} integers, one for each image, got {labels.dtype} of shape {labels.shape}"
    if labels.min() < 0 or labels.max() >= scores[0]:
        return f"labels must be 0..{scores[0] - 1}, got {labels.min()}..{labels.max()}"
    return None

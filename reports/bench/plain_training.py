"""Training as somebody writes it in PyTorch who knows what PyTorch can do, and nothing else: the measure of ours.

Modules of `torch.nn`, PyTorch's own optimizers and schedules, images channels-last, one move and one coin for a whole
batch where a recipe shifts and mirrors each image. Needs PyTorch (the extra ``train``).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from accel.train import Recipe


def lenet5() -> nn.Module:
    """Return LeNet-5 as the zoo has it."""
    parts: list[nn.Module] = []
    for outputs, maps, padding in ((6, 1, 2), (16, 6, 0)):
        parts += [nn.Conv2d(maps, outputs, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]
    parts += [nn.Conv2d(16, 120, 5), nn.ReLU(), nn.Flatten(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return nn.Sequential(*parts)


def cifar_quick() -> nn.Module:
    """Return cifar-quick as the zoo has it."""
    parts: list[nn.Module] = []
    for outputs, maps in ((32, 3), (32, 32), (64, 32)):
        parts += [nn.Conv2d(maps, outputs, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 10))


class Block(nn.Module):
    """A residual block with batch norms, the shortcut's excepted if that is asked for."""

    def __init__(self, maps: int, outputs: int, norm_shortcut: bool) -> None:
        super().__init__()
        stride = 1 if maps == outputs else 2
        self.first, self.second = nn.Conv2d(maps, outputs, 3, stride, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)])
        shortcut: list[nn.Module] = [nn.Conv2d(maps, outputs, 1, stride)] if stride > 1 else []
        if shortcut and norm_shortcut:
            shortcut.append(nn.BatchNorm2d(outputs))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(y)) + self.shortcut(x))


def resnet(blocks: int, norm_shortcuts: bool = True) -> nn.Module:
    """Return a residual network for CIFAR-10 with so many blocks in each of its three stages."""
    parts: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
    for maps, outputs in ((16, 16), (16, 32), (32, 64)):
        parts += [Block(maps if block == 0 else outputs, outputs, norm_shortcuts) for block in range(blocks)]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


PLAIN: dict[str, Callable[[], nn.Module]] = {
    "lenet5": lenet5,
    "cifar-quick": cifar_quick,
    "resnet8": lambda: resnet(1, norm_shortcuts=False),
    "resnet20": lambda: resnet(3),
}


class Loop:
    """A training of a module of its own."""

    def __init__(self, module: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe) -> None:
        self.module = module.to(memory_format=torch.channels_last).train()
        self.images, self.labels, self.recipe = images.contiguous(memory_format=torch.channels_last), labels, recipe
        rate, decay = recipe.learning_rate, recipe.weight_decay
        if recipe.optimizer == "adam":
            self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(module.parameters(), rate, weight_decay=decay)
        else:
            self.optimizer = torch.optim.SGD(module.parameters(), rate, recipe.momentum, weight_decay=decay)

    def epoch(self) -> float:
        """Train for one epoch and return the mean loss."""
        total = 0.0
        batches = torch.randperm(len(self.images)).split(self.recipe.batch_size)
        for index in batches:
            images = self._moved(self.images[index])
            loss = F.cross_entropy(self.module(images), self.labels[index])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(batches)

    def _moved(self, images: Tensor) -> Tensor:
        reach = self.recipe.shift_pixels
        if reach:
            down, right = torch.randint(2 * reach + 1, (2,)).tolist()
            height, width = images.shape[2:]
            images = F.pad(images, (reach,) * 4)[:, :, down : down + height, right : right + width]
        if self.recipe.flip and torch.rand(()) < 0.5:
            images = images.flip(3)
        return images.contiguous(memory_format=torch.channels_last)

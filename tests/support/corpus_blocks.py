"""Parts of networks as people write them in PyTorch: what `corpus` is built of."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNorm(nn.Sequential):  # type: ignore[misc]  # PyTorch is Any here
    """Convolution, batch norm and a function, as torchvision's `Conv2dNormActivation`."""

    def __init__(
        self,
        maps: int,
        outputs: int,
        kernel: Any = 3,
        stride: int = 1,
        groups: int = 1,
        act: Any = nn.ReLU,
        **more: Any,
    ) -> None:
        padding = more.pop("padding", tuple(k // 2 for k in kernel) if isinstance(kernel, tuple) else kernel // 2)
        conv = nn.Conv2d(maps, outputs, kernel, stride, padding, groups=groups, bias=False, **more)
        super().__init__(conv, nn.BatchNorm2d(outputs), *([act()] if act else []))


class Residual(nn.Module):  # type: ignore[misc]
    """``act(body(x) + shortcut(x))``."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None, act: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut, self.act = body, shortcut or nn.Identity(), act or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.body(x) + self.shortcut(x))


class Joined(nn.Module):  # type: ignore[misc]
    """The outputs of branches, one after the other."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class SqueezeExcitation(nn.Module):  # type: ignore[misc]
    """Maps times what two 1x1 convolutions make of their means."""

    def __init__(self, maps: int, squeezed: int, act: Any = nn.ReLU, gate: Any = nn.Sigmoid) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(maps, squeezed, 1), nn.Conv2d(squeezed, maps, 1)
        self.avgpool, self.act, self.gate = nn.AdaptiveAvgPool2d(1), act(), gate()

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.fc2(self.act(self.fc1(self.avgpool(x))))) * x


class Head(nn.Module):  # type: ignore[misc]
    """Mean of each map and a fully connected layer, flattened as torchvision does."""

    def __init__(self, maps: int, classes: int = 10, dropout: float = 0.2) -> None:
        super().__init__()
        self.avgpool, self.dropout, self.fc = (
            nn.AdaptiveAvgPool2d((1, 1)),
            nn.Dropout(dropout),
            nn.Linear(maps, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(torch.flatten(self.avgpool(x), 1)))


class Shuffle(nn.Module):  # type: ignore[misc]
    """Channel shuffle of groups, as torchvision writes it."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        batch, maps, height, width = x.size()
        x = x.view(batch, self.groups, maps // self.groups, height, width)
        return torch.transpose(x, 1, 2).contiguous().view(batch, maps, height, width)


class VGG(nn.Module):  # type: ignore[misc]
    """VGG with batch norm, and its adaptive pool to 2x2."""

    def __init__(self) -> None:
        super().__init__()
        rows, layers, maps = (8, "M", 12, 12, "M", 16, "M"), [], 3
        for row in rows:
            layers.append(nn.MaxPool2d(2, 2) if row == "M" else ConvNorm(maps, int(row)))
            maps = maps if row == "M" else int(row)
        self.features, self.avgpool = nn.Sequential(*layers), nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(64, 24), nn.ReLU(True), nn.Dropout(), nn.Linear(24, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class PreActivation(nn.Module):  # type: ignore[misc]
    """A residual block whose batch norms and ReLUs come before the convolutions."""

    def __init__(self, maps: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(maps), nn.Conv2d(maps, outputs, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(outputs), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.side = nn.Conv2d(maps, outputs, 1, stride, bias=False) if maps != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(x))
        shortcut = self.side(out) if self.side is not None else x
        return self.conv2(F.relu(self.bn2(self.conv1(out)))) + shortcut


class DenseLayer(nn.Module):  # type: ignore[misc]
    """What a dense block adds to its maps."""

    def __init__(self, maps: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(maps), nn.Conv2d(maps, 2 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(2 * growth), nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))], 1)


class ShuffleUnit(nn.Module):  # type: ignore[misc]
    """ShuffleNetV2's unit of stride 1: half of the maps go by."""

    def __init__(self, half: int) -> None:
        super().__init__()
        self.branch2 = nn.Sequential(
            ConvNorm(half, half, 1), ConvNorm(half, half, 3, groups=half, act=None), ConvNorm(half, half, 1)
        )
        self.shuffle = Shuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = x.chunk(2, dim=1)
        return self.shuffle(torch.cat((x1, self.branch2(x2)), dim=1))


class Mean(nn.Module):  # type: ignore[misc]
    """The mean of each map, by `mean` over two axes."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean([2, 3])


class InceptionV3(nn.Module):  # type: ignore[misc]
    """A block of kernels along one axis, beside an average with zeros around it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one = ConvNorm(3, 8, 3, 2), ConvNorm(8, 4, 1)
        self.seven = nn.Sequential(ConvNorm(8, 4, 1), ConvNorm(4, 4, (1, 7)), ConvNorm(4, 4, (7, 1)))
        self.pool, self.fc = ConvNorm(8, 4, 1), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        pooled = self.pool(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        x = torch.cat([self.one(x), self.seven(x), pooled], 1)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class UNet(nn.Module):  # type: ignore[misc]
    """Two levels, joined after a transposed convolution or the nearest pixels; gives maps of classes."""

    def __init__(self, transposed: bool) -> None:
        super().__init__()
        self.down1, self.down2 = ConvNorm(3, 8), ConvNorm(8, 12)
        near = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(12, 8, 3, padding=1))
        self.up = nn.ConvTranspose2d(12, 8, 2, 2) if transposed else near
        self.merge, self.head = ConvNorm(16, 8), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        return self.head(self.merge(torch.cat([first, self.up(second)], dim=1)))


class Temporal(nn.Module):  # type: ignore[misc]
    """A block of a temporal convolutional network: causal, dilated, along time."""

    def __init__(self, maps: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.padding = 2 * dilation
        self.conv1, self.bn = nn.Conv1d(maps, outputs, 3, dilation=dilation), nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, 3, dilation=dilation)
        self.side = nn.Conv1d(maps, outputs, 1) if maps != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn(self.conv1(F.pad(x, (self.padding, 0)))))
        return F.relu(F.relu(self.conv2(F.pad(out, (self.padding, 0)))) + self.side(x))


class RepVGG(nn.Module):  # type: ignore[misc]
    """A block as it is trained: 3x3, 1x1 and identity, each with a batch norm, summed."""

    def __init__(self, maps: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.dense, self.one = (ConvNorm(maps, outputs, kernel, stride, act=None) for kernel in (3, 1))
        self.identity = nn.BatchNorm2d(maps) if maps == outputs and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        total = self.dense(x) + self.one(x)
        return F.relu(total if self.identity is None else total + self.identity(x))


class Focus(nn.Module):  # type: ignore[misc]
    """Every other row and column as maps of their own, as YOLOv5 has it."""

    def __init__(self, maps: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvNorm(4 * maps, outputs, 3, act=nn.SiLU)

    def forward(self, x: Tensor) -> Tensor:
        corners = x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]
        return self.conv(torch.cat(corners, 1))


class CrossStage(nn.Module):  # type: ignore[misc]
    """A C3 block: a residual branch and a short one, joined; then three pools over each other."""

    def __init__(self, maps: int, hidden: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = (ConvNorm(maps, hidden, 1, act=nn.SiLU) for _ in range(2))
        body = nn.Sequential(ConvNorm(hidden, hidden, 1, act=nn.SiLU), ConvNorm(hidden, hidden, 3, act=nn.SiLU))
        self.m, self.cv3 = Residual(body), ConvNorm(2 * hidden, maps, 1, act=nn.SiLU)
        self.pool, self.cv4 = nn.MaxPool2d(5, 1, 2), ConvNorm(4 * maps, maps, 1, act=nn.SiLU)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), dim=1))
        y1 = self.pool(x)
        y2 = self.pool(y1)
        return self.cv4(torch.cat([x, y1, y2, self.pool(y2)], 1))


def separable(maps: int, outputs: int, stride: int = 1, act: Any = nn.ReLU) -> nn.Module:
    """Return a depthwise convolution and one of 1x1 kernels."""
    return nn.Sequential(ConvNorm(maps, maps, 3, stride, maps, act), ConvNorm(maps, outputs, 1, act=act))


class Detector(nn.Module):  # type: ignore[misc]
    """A backbone with two heads: classes and boxes of each place."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(ConvNorm(3, 8, 3, 2), separable(8, 12, 2))
        self.classes, self.boxes = nn.Conv2d(12, 6, 3, padding=1), nn.Conv2d(12, 8, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.features(x)
        return self.classes(x), self.boxes(x)

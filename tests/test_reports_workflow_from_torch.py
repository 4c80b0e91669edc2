"""A module of PyTorch becomes a network: what it computes, and what is refused."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'espalier-hw[train]'")

from torch import nn  # noqa: E402

import espalier as esp  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402

EXAMPLE = torch.zeros(1, 2, 8, 8)


class Small(nn.Module):
    """A convolution with batch norm, a dropout, a pool and a layer of scores."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.MaxPool2d(2), nn.Flatten()
        )
        self.scores = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        return self.scores(self.parts(images))


def small() -> Small:
    """Return a module with random weights and batch norms that have seen images; it trains."""
    torch.manual_seed(0)
    module = Small()
    module(torch.rand(16, 2, 8, 8))
    return module


def test_it_computes_what_the_module_does() -> None:
    """In inference, to float32; the module goes on training, whose values are others."""
    module, images = small(), torch.rand(5, 2, 8, 8)
    found = esp.from_torch(module, EXAMPLE, name="mine", data="mine.npz").result
    assert isinstance(found, PrunedNetwork)
    assert (found.network.name, found.data) == ("mine", "mine.npz")
    assert all(part.training for part in module.modules())
    scores = found.network.scores(images.numpy())
    with torch.no_grad():
        assert np.abs(scores - module.eval()(images).numpy()).max() < 1e-4
        assert np.abs(scores - module.train()(images).numpy()).max() > 1e-2  # negative control: as it trains


def test_a_network_is_named_after_its_class() -> None:
    """Where no name is given."""
    found = esp.from_torch(small(), EXAMPLE).result
    assert isinstance(found, PrunedNetwork)
    assert found.network.name == "small"


def test_what_is_refused() -> None:
    """One line each: no batch of one, a module that does not take the example, an operator that no network has."""
    with pytest.raises(esp.EspalierError, match=r"^example: one image .* got the shape \(3, 2, 8, 8\)$"):
        esp.from_torch(small(), torch.zeros(3, 2, 8, 8))
    module = small()
    with pytest.raises(esp.EspalierError, match=r"^Small: PyTorch writes no ONNX file of it: ."):
        esp.from_torch(module, torch.zeros(1, 3, 8, 8))
    assert all(part.training for part in module.modules())
    with pytest.raises(esp.EspalierError, match="LayerNorm"):
        esp.from_torch(nn.Sequential(nn.LayerNorm(8)), EXAMPLE)

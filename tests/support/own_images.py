"""A small task of our own for tests: bars across, bars down, or none, and a network that tells them apart."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from support.onnx_graphs import Drawing

SHAPE = (1, 6, 6)
CLASSES = ("across", "down", "none")
Pair = tuple[np.ndarray[Any, np.dtype[np.uint8]], np.ndarray[Any, np.dtype[np.int64]]]


def drawn(count: int, seed: int = 0) -> Pair:
    """Return `count` images (count, 6, 6) of each class, 0..255, with their labels, class by class."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 30, (3 * count, 6, 6)).astype(np.uint8)
    labels = np.repeat(np.arange(3), count)
    for image, label, place in zip(images, labels, rng.integers(1, 5, len(labels)), strict=True):
        if label == 0:
            image[place] = rng.integers(180, 256, 6)
        if label == 1:
            image[:, place] = rng.integers(180, 256, 6)
    return images, labels


def write_classes(folder: Path, images: Any, labels: Any, suffix: str = "png") -> Path:
    """Write pictures into a folder of class folders."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / CLASSES[label] / f"{number:03}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def network() -> Drawing:
    """Return a network that takes pixels of 0..1: line detectors, a layer that may lose half its kernels, means."""
    g = Drawing("batch", *SHAPE)
    line = np.array([[-1, -1, -1], [2, 2, 2], [-1, -1, -1]], np.float32) / 3
    g.node("Conv", "", g.constant(np.stack([line, line.T])[:, None]), name="lines", pads=[1, 1, 1, 1])
    g.node("Relu")
    kernels = g.rng.normal(0, 1e-3, (4, 2, 3, 3)).astype(np.float32)
    kernels[[0, 1, 2, 3], [0, 1, 0, 1], 1, 1] = 1  # one kernel of each map does the work
    g.node("Conv", "", g.constant(kernels), name="same", pads=[1, 1, 1, 1])
    g.node("Relu")
    g.node("GlobalAveragePool")
    g.node("Flatten")
    weights = np.array([[1, -1, 1, -1], [-1, 1, -1, 1], [0.01, 0.01, 0.01, 0.01]], np.float32)
    g.node("Gemm", "", g.constant(weights), g.constant(np.array([0, 0, 0.1], np.float32)), name="scores", transB=1)
    return g

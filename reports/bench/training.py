"""What an epoch of our training takes beside one of a plain PyTorch loop: in turn, on the same images, one thread."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from rich.table import Table

from accel.errors import EspalierError
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.pruned import PrunedNetwork
from reports.shared.progress import bar

TRAINING = "training"  # the word after `espalier bench` that asks for this
TRAINED = ("lenet5", "cifar-quick", "resnet8", "resnet20")
IMAGES = {"lenet5": 6400, "cifar-quick": 1280, "resnet8": 1024, "resnet20": 512}  # of an epoch here: some seconds each


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """Seconds of epochs on one thread, ours and the plain loop's, each beside the other."""

    network: str
    images: int
    ours: tuple[float, ...]
    plain: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """By how much an epoch of ours is longer: the median of pairs that ran one after the other."""
        return median(a / b for a, b in zip(self.ours, self.plain, strict=True))


def measured(names: Sequence[str], rounds: int, images: int | None = None) -> Iterator[Epochs]:
    """Yield the epochs of each network, in the recipe of the zoo, on images of noise.

    Parameters
    ----------
    names : sequence of str
        Of `TRAINED`.
    rounds : int
        Epochs of each that count; one before them does not.
    images : int, optional
        Of an epoch.

    Raises
    ------
    EspalierError
        There is no such network, or no PyTorch.
    """
    if unknown := [name for name in names if name not in TRAINED]:
        raise EspalierError(f"unknown network {unknown[0]!r}: training is measured on {', '.join(TRAINED)}")
    for name in names:
        count = images or IMAGES[name]
        ours, plain = _epochs(name, count)
        pairs = []
        with bar(f"{name}, epochs", rounds) as shown:
            for _ in range(rounds + 1):
                pairs.append((_seconds(ours), _seconds(plain)))
                shown.advance()
        left, right = zip(*pairs[1:], strict=True)
        yield Epochs(network=name, images=count, ours=left, plain=right)


def epochs_table(found: Sequence[Epochs]) -> Table:
    """Return the measurements as a table."""
    table = Table(title="An epoch of training, on one thread")
    table.add_column("network", no_wrap=True)
    for name in ("images", "ours, s", "plain loop, s", "ratio"):
        table.add_column(name, justify="right")
    for x in found:
        table.add_row(x.network, f"{x.images:,}", f"{median(x.ours):.2f}", f"{median(x.plain):.2f}", f"{x.ratio:.2f}")
    return table


def _epochs(name: str, count: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what runs an epoch of our training, and what runs one of the plain loop."""
    import torch

    from accel.train import initialize, to_module
    from accel.train.run import Run, threads
    from reports.bench.plain_training import PLAIN, Loop
    from reports.workflow.recipes import ENTRIES

    rng, recipe = np.random.default_rng(0), replace(ENTRIES[name].dense, epochs=1 << 20)
    network = initialize(ARCHITECTURES[name](), rng)
    images = rng.random((count, *network.input_shape), np.float32)
    labels = rng.integers(network.shapes[network.output][0], size=count)
    module = to_module(network)
    run = Run(module, PrunedNetwork(network), images, labels, recipe, torch.device("cpu"), None)
    loop = Loop(PLAIN[name](), torch.from_numpy(images), torch.from_numpy(labels), recipe)

    def on_one_thread(epoch: Callable[[], object]) -> Callable[[], object]:
        def timed() -> object:
            with threads(recipe.threads):
                return epoch()

        return timed

    return on_one_thread(lambda: run.epoch(0, None)), on_one_thread(loop.epoch)


def _seconds(epoch: Callable[[], object]) -> float:
    begin = time.perf_counter()
    epoch()
    return time.perf_counter() - begin

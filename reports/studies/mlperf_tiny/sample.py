"""What the autoencoder, with the weights that MLPerf Tiny trained, misses of the one recording that comes with it.

Both are files of MLPerf Tiny's repository, read where they lie. Weights are read by h5py (the extra ``referees``).
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.data.machines import WINDOW, windows_of
from accel.interchange.data.sound import MACHINE_MELS
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.layers import BatchNorm, Layer, Weighted
from accel.network import Network
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from reports.studies.mlperf_tiny.definition import AUTOENCODER, BITS, PATTERNS, version
from reports.studies.mlperf_tiny.results import Loss
from reports.workflow.evaluate import program_outputs, squared_errors
from sim.engine import compile_program

EPSILON = 1e-3  # of batch norms: Keras's default, which MLPerf Tiny keeps
FILE = "expected the Keras weights of MLPerf Tiny's autoencoder, trained_models/ad01.h5 of its anomaly detection"


def windows(path: Path) -> NDArray[np.float32]:
    """Return all windows (n, 1, 5, 128) of a recording's log-mel energies in dB, a frame of 128 after the other.

    Raises
    ------
    EspalierError
        The file holds no whole frames, or fewer than a window has.
    """
    energies = np.fromfile(path, "<f4")
    if path.stat().st_size % (4 * MACHINE_MELS) or energies.size < WINDOW * MACHINE_MELS:
        raise EspalierError(
            f"{path}: expected little-endian floats of 4 bytes, {MACHINE_MELS} for each of at least {WINDOW} frames, "
            f"got {path.stat().st_size:,} bytes"
        )
    return np.ascontiguousarray(windows_of(energies.reshape(-1, MACHINE_MELS))[:, None], np.float32)


def trained(path: Path) -> Network:
    """Return the autoencoder with the weights of a Keras file.

    Raises
    ------
    EspalierError
        The file is another's.
    """
    import h5py  # here alone, and only where somebody has the file

    try:
        with h5py.File(path) as file:
            groups = file["model_weights"]
            network = ARCHITECTURES[AUTOENCODER]()
            dense, norms = iter(_numbered("dense")), iter(_numbered("batch_normalization"))
            return replace(network, layers=tuple(_filled(layer, groups, dense, norms) for layer in network.layers))
    except (OSError, KeyError, EspalierError) as error:
        raise EspalierError(f"{path}: {error}; {FILE}") from error


def losses(network: Network, images: NDArray[np.float32]) -> Iterator[Loss]:
    """Yield the mean squared error of windows by each pattern there is, of floats (0 bits) and at each word length.

    What is pruned is not trained again, and steps are found of the same windows: there are no others.
    """
    dense = PrunedNetwork(network)
    for pattern in PATTERNS:
        try:
            pruned = version(AUTOENCODER, pattern, dense)[1]
        except EspalierError:
            continue  # the study's table says why
        yield Loss(pattern=pattern, bits=0, loss=_missed(pruned.network.scores(images), images))
        for bits in BITS:
            program = lower(pruned, Widths(bits, bits), images)
            outputs = program_outputs(compile_program(program), program.input_signal.encode(images))
            yield Loss(pattern=pattern, bits=bits, loss=_missed(outputs, images))


def _missed(outputs: NDArray[Any], images: NDArray[np.float32]) -> float:
    found, wanted = (x.reshape(len(images), -1) for x in (outputs, images))
    return float(f"{squared_errors(found, wanted).mean():.5g}")


def _numbered(name: str) -> list[str]:
    """Return the names that Keras gives to layers of a kind."""
    return [name, *(f"{name}_{number}" for number in range(1, 10))]


def _filled(layer: Layer, groups: Any, dense: Iterator[str], norms: Iterator[str]) -> Layer:
    """Return a layer with what the file has for the next of its kind."""
    if isinstance(layer, Weighted):
        arrays = _arrays(groups, next(dense))
        return replace(layer, weight=arrays["kernel:0"].T, bias=arrays["bias:0"])
    if isinstance(layer, BatchNorm):
        arrays = _arrays(groups, next(norms))
        return replace(
            layer,
            scale=arrays["gamma:0"],
            shift=arrays["beta:0"],
            mean=arrays["moving_mean:0"],
            variance=arrays["moving_variance:0"],
            epsilon=EPSILON,
        )
    return layer


def _arrays(groups: Any, name: str) -> dict[str, NDArray[np.float32]]:
    return {key: array[:] for key, array in groups[name][name].items()}

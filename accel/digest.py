"""Digests of what decides how a run goes: by them a checkpoint or a result knows what it is of."""

import hashlib
from dataclasses import fields
from typing import Any

import numpy as np

from accel.network import Network


def digest_of(*parts: Any) -> str:
    """Return a SHA-256 of arrays, with their types and shapes, of bytes, and of anything else as its ``repr``.

    >>> digest_of(np.zeros(2, np.int8)) == digest_of(np.zeros((1, 2), np.int8))
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        part = np.frombuffer(part, "|V1") if isinstance(part, bytes) else part
        array = isinstance(part, np.ndarray)
        digest.update((f"{part.dtype.str}{part.shape}" if array else repr(part)).encode() + b"\0")
        if array:
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def network_parts(network: Network) -> list[Any]:
    """Return for `digest_of` everything that a network is."""
    parts: list[Any] = [network.input_shape]
    for layer in network.layers:
        parts += [type(layer).__name__, *(getattr(layer, item.name) for item in fields(layer))]
    return parts

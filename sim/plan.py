"""What `sim.engine` runs for a Program: each layer packed where its words are bytes, wide where they are not.

Decided once for a Program (`Stores`): which tensors are packed, in which order their maps lie, and how wide the border
of zeros around them is. Then, for a number of blocks and with or without fusing, the steps themselves (`Plan`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.fixedpoint import SATURATING
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    FlattenLayer,
    MacLayer,
    MaxPoolLayer,
    ProgramLayer,
    ReluLayer,
)
from accel.window import Window
from sim import wide
from sim.kernels import packed_layers
from sim.kernels.dots import LANES, Kind
from sim.packed import recipes
from sim.packed.recipes import Buffers, Listed, MacStep, Run
from sim.packed.tensors import aligned, as_maps, lane_type
from sim.packed.tiles import Fused, MacPlan, Place
from sim.stores import Stores

HALVES = Window.square(2, 2)


class Plan:
    """The steps for a number of blocks of 16 images.

    Parameters
    ----------
    stores : Stores
    kernel : one of `sim.kernels.dots.Kind`
    blocks : int
    fused : bool
        Pools and ReLUs run with the layer before them, whose own output is then nowhere.
    listed : callable
        From a layer to its `Listed`.
    """

    def __init__(
        self, stores: Stores, kernel: Kind, blocks: int, fused: bool, listed: Callable[[MacLayer], Listed]
    ) -> None:
        self.stores, self.program, self.kernel, self.blocks = stores, stores.program, kernel, blocks
        self.steps: list[tuple[str, Run]] = []
        self.macs: dict[str, MacStep] = {}  # by layer
        self.rooms: dict[str, Callable[[], Any]] = {}
        self.lines: dict[str, int] = {}  # that must lie in a packed tensor, its border and what runs reach included
        self.made: set[tuple[str, bool]] = set()
        self._listed, self._readers = listed, _readers(self.program)
        self._free: SimpleQueue[Buffers] = SimpleQueue()
        self._put(INPUT, INPUT in stores.maps)
        skipped: set[str] = set()
        for layer in self.program.layers:
            if layer.name not in skipped:
                chain = list(self._following(layer)) if fused and isinstance(layer, MacLayer) else []
                skipped |= {x.name for x in chain}
                self._add(layer, chain)

    @contextmanager
    def buffers(self) -> Iterator[Buffers]:
        """Lend one worker room that no other has: packed tensors, and what layers work in. It is kept for the next."""
        try:
            buffers = self._free.get_nowait()
        except Empty:
            buffers = self._new_buffers()
        yield buffers
        self._free.put(buffers)

    def _new_buffers(self) -> Buffers:
        rooms = {name: room() for name, room in self.rooms.items()}
        for key, lines in self.lines.items():
            store = self.stores.packed[key]
            rooms[key] = store.empty(self.blocks, max(0, lines - self.blocks * store.block_lines))
        return {**rooms, **{name: rooms[self.stores.key(name)] for name, is_packed in self.made if is_packed}}

    def pack(self, images: NDArray[Any], buffers: Buffers) -> bool:
        """Put images into the packed input; return whether their codes are in its range."""
        store, form = self.stores.packed[INPUT], self.program.input_signal.format
        codes = np.array([form.min_code, form.max_code, store.zero], np.int64)
        out = store.bytes_of(buffers[INPUT], self.blocks)
        if images.dtype == np.uint8 and (form.min_code, form.max_code) == (0, 255):
            packed_layers.pack_bytes(images, store.order, store.inside, out)
            return True
        return bool(packed_layers.pack_images(images, store.order, codes, store.inside, out))

    def padded(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return images as planes, with zeros for those that are missing in the last block."""
        planes = np.zeros((*images.shape[1:], self.blocks * LANES), lane_type(self.program.input_signal))
        planes[..., : len(images)] = np.moveaxis(images, 0, -1)
        return planes

    def planes(self, name: str, buffers: Buffers) -> NDArray[Any]:
        """Return a tensor as planes (maps, ..., images)."""
        if (name, False) in self.made:
            return buffers[planes_of(name)]
        return self._unpacked(name, buffers)

    def _put(self, name: str, is_packed: bool) -> None:
        """Note that a tensor is there from now on."""
        self.made.add((name, is_packed))
        if is_packed:
            key = self.stores.key(name)
            self.lines.setdefault(key, self.blocks * self.stores.packed[key].block_lines)

    def _following(self, layer: ProgramLayer) -> Iterator[ProgramLayer]:
        """Yield the layers that `layer` can take in, one after the other: ReLUs, and one pool of two by two."""
        if not (self.stores.reads_packed(layer) and layer.name in self.stores.maps):
            return
        pooled, of = False, layer
        while len(self._readers[of.name]) == 1 and of.name != self.program.output:
            (after,) = self._readers[of.name]
            height, width = self.stores.maps[of.name][1:]
            pools = (
                isinstance(after, MaxPoolLayer) and after.window == HALVES and not (pooled or height % 2 or width % 2)
            )
            # order is kept, so that a pool may come first
            keeps_order = layer.output.format.overflow in SATURATING  # type: ignore[attr-defined]
            if not (isinstance(after, ReluLayer) or (pools and keeps_order)):
                return
            pooled |= pools
            yield after
            of = after

    def _add(self, layer: ProgramLayer, following: list[ProgramLayer]) -> None:
        """Add the step of a layer, and of what must come before it."""
        is_packed = self.stores.reads_packed(layer)
        for source in layer.inputs:
            self._need(source, is_packed)
        if not is_packed:
            self._add_wide(layer)
        elif isinstance(layer, MacLayer):
            self._add_mac(layer, following)
        else:
            if not isinstance(layer, FlattenLayer):
                self.steps.append((layer.name, self._packed_step(layer)))
            self._put(layer.name, True)

    def _need(self, name: str, is_packed: bool) -> None:
        """Convert a tensor unless it is there in this form."""
        if (name, is_packed) in self.made:
            return
        if is_packed:
            store = self.stores.packed[name]

            def convert(buffers: Buffers) -> int:
                shape = (store.maps, *store.size, self.blocks * LANES)
                planes, out = buffers[planes_of(name)].reshape(shape), store.bytes_of(buffers[name], self.blocks)
                packed_layers.pack_planes(planes, store.order, store.zero, store.inside, out)
                return 0

        else:

            def convert(buffers: Buffers) -> int:
                buffers[planes_of(name)] = self._unpacked(name, buffers)
                return 0

        self.steps.append((f"{name} converted", convert))
        self._put(name, is_packed)

    def _unpacked(self, name: str, buffers: Buffers) -> NDArray[Any]:
        """Return a packed tensor as planes."""
        store, lanes = self.stores.packed[name], self.blocks * LANES
        out = np.empty((store.maps, *store.size, lanes), lane_type(self.program.signals[name]))
        x = store.bytes_of(buffers[name], self.blocks)
        packed_layers.unpack(x, store.order, store.zero, store.inside, out)
        return out.reshape(*self.program.shapes[name], lanes)

    def _add_wide(self, layer: ProgramLayer) -> None:
        """Add a step that reads and writes planes."""
        shapes = [self.program.shapes[source] for source in layer.inputs]
        recipe = wide.RECIPES[type(layer)](layer, self.program.shapes[layer.name], *shapes, program=self.program)

        def run(buffers: Buffers) -> int:
            buffers[planes_of(layer.name)], macs = recipe(*(buffers[planes_of(source)] for source in layer.inputs))
            return macs

        self.steps.append((layer.name, run))
        self._put(layer.name, False)

    def _add_mac(self, layer: MacLayer, following: list[ProgramLayer]) -> None:
        """Add a packed layer of multiply-accumulates with what is fused after it."""
        (source,), name = layer.inputs, (following[-1] if following else layer).name
        into = self.stores.packed[name] if name in self.stores.maps else None
        fused = Fused(*(any(isinstance(x, kind) for x in following) for kind in (MaxPoolLayer, ReluLayer)))
        place = Place(name if into else planes_of(name), into, as_maps(self.program.shapes[name])[1:])
        listed = self._listed(layer)
        plan = MacPlan(layer, listed.lists, self.stores.packed[source], place, fused, self.blocks)
        step = recipes.mac(plan, listed, self.kernel, source)
        self._put(name, into is not None)
        self.rooms[step.room_key], self.macs[layer.name] = step.room, step
        of = self.stores.key(source)
        self.lines[of] = max(self.lines[of], plan.lines_read[0])
        self.steps.append((layer.name, step if into else partial(self._into_planes, layer, step)))

    def _into_planes(self, layer: MacLayer, run: Run, buffers: Buffers) -> int:
        """Run a packed layer whose codes are too wide to pack."""
        shape, lanes = self.program.shapes[layer.name], self.blocks * LANES
        out = aligned((*shape, lanes), lane_type(layer.output))
        buffers[planes_of(layer.name)] = out.reshape(shape[0], -1, LANES)
        macs = run(buffers)
        buffers[planes_of(layer.name)] = out
        return macs

    def _packed_step(self, layer: ProgramLayer) -> Run:
        """Return what runs a packed layer without weights."""
        stores = [self.stores.packed[source] for source in layer.inputs]
        into, one = self.stores.packed[layer.name], Window((1, 1))
        if isinstance(layer, AvgPoolLayer):
            return recipes.avg_pool(layer, stores[0], into, self.blocks)
        if isinstance(layer, AddLayer):
            return recipes.add(layer, (stores[0], stores[1]), into, self.blocks)
        window = layer.window if isinstance(layer, MaxPoolLayer) else one
        ends = (0, 255) if isinstance(layer, MaxPoolLayer) else (into.zero, 255)
        if isinstance(layer, ClipLayer):
            ends = max(0, layer.lowest + into.zero), min(255, layer.highest + into.zero)
        return recipes.max_pool(window, ends, (layer.inputs[0], layer.name), (stores[0], into), self.blocks)


def planes_of(name: str) -> str:
    """Return the name of a tensor's planes among the buffers."""
    return f"{name} planes"


def _readers(program: Program) -> dict[str, list[ProgramLayer]]:
    """Return the layers that read each tensor."""
    readers: dict[str, list[ProgramLayer]] = {name: [] for name in program.shapes}
    for layer in program.layers:
        for source in layer.inputs:
            readers[source].append(layer)
    return readers

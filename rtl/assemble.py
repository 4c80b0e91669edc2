"""From a Program to the contents of the memories.

The index of every pattern becomes the same entries {base, offset, stride, count}: the runs of `accel.runs`. A lane that
has pruned a column which another lane of its group keeps holds a zero weight there, or takes one of another map
(`accel.combined`).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.array import FAR, MULTIPLIER_WIDTH, MacArray
from accel.combined import Combined
from accel.demand import constants_of, demand_of, tables_of, weight_words
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.fusion import bounds_of, computing, rectifies, written
from accel.grouped_convolution import group_weights
from accel.lines import Lines, lines_of
from accel.memory_words import address_bits
from accel.places import pitch_of, places_of
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    ConcatLayer,
    MacLayer,
    MaxPoolLayer,
    ProgramLayer,
    ReluLayer,
    TableLayer,
)
from accel.runs import Integers, Runs, runs_of, window_taps, word_taps
from accel.segments import Segments, segments_of
from accel.signal import UNCHANGED
from accel.split import average_windows, splits
from accel.walk import Walk, combined_of, maps_of, pieces_of, walk_of
from rtl.image import Entry, Image
from rtl.limits import check, check_limits, window_of


def signal_formats(program: Program) -> tuple[FixedFormat, ...]:
    """Return the formats of the signals that layers requantise to: hardware that runs the Program knows them."""
    layers = (layer for layer in program.layers if getattr(layer, "requantize", None))
    return tuple(dict.fromkeys(program.signals[layer.name].format for layer in layers))


def final_layer(program: Program, array: MacArray) -> ProgramLayer:
    """Return the layer whose rows leave the chip: the last one that computes, which must give the output.

    Raises
    ------
    EspalierError
        The output is something else.
    """
    computed = computing(program, array)
    if not computed or written(program, computed[-1], array) != program.roots[program.output]:
        raise EspalierError(f"{program.output}: the hardware hands out what its last layer computes, and nothing else")
    return computed[-1]


def assemble(program: Program, array: MacArray, formats: Sequence[FixedFormat] | None = None) -> Image:
    """Return the memory contents for `program` on `array`.

    `formats` are those that the hardware was made for, in its order; the Program's own by default.

    Raises
    ------
    EspalierError
        The hardware cannot run a layer, or something does not fit; the line names the layer, the need and the limit.
    """
    known = signal_formats(program) if formats is None else formats
    return _Assembler(program, array, known).run()


class _Assembler:
    def __init__(self, program: Program, array: MacArray, formats: Sequence[FixedFormat]) -> None:
        self.program, self.array, self.final = program, array, final_layer(program, array).name
        self.places = places_of(program, array)
        codes, self.tables = tables_of(program, array)
        tables = [code & (1 << array.signal_bits) - 1 for code in codes]
        self.image = Image(formats=list(formats), places=self.places.images, tables=tables)
        demand_of(program, array).check(array)

    def run(self) -> Image:
        layers = computing(self.program, self.array)
        for layer in layers:
            self._layer(layer)
        self.image.layers[-1] |= {"end": 1, "final": 1}
        first = list(zip(layers, self.image.layers, strict=True))
        for turn in range(1, len(self.places.images)):
            self.image.layers += [words | self._turned(layer, words, turn) for layer, words in first]
        self.image.layers[-1] |= {"again": int(self.array.overlap)}
        return self.image

    def _turned(self, layer: ProgramLayer, words: dict[str, int], turn: int) -> dict[str, int]:
        """Return what is different in the words of a layer where the image lies elsewhere."""
        moved = self._input(layer, turn) - self._input(layer)
        changed = {"origin": words["origin"] + moved}
        if self.places.lists(layer) > 1:
            changed["list"] = len(self.image.entries)
            self._operands(layer, turn)
        return changed

    def _input(self, layer: ProgramLayer, turn: int = 0) -> int:
        """Return the first word of what a layer reads: where the bases of its entries count from."""
        return min(self.places.of(source, turn) for source in self.program.reads(layer))

    def _operands(self, layer: ProgramLayer, turn: int = 0) -> None:
        """Add the entries of an addition, or of a concatenation that copies both of its inputs: a list for each piece.

        Each operand stays on its tap for as many steps as its weight takes words, or goes over its segments as often.
        """
        places = self.places.apart(layer, turn)
        if isinstance(layer, AddLayer) and (parts := segments_of(self.program, layer, self.array)):
            counts = [(base, tap * parts.lanes) for tap, base in enumerate(places) for _ in range(parts.weights[tap])]
            for left, (base, tap) in zip(range(len(counts))[::-1], counts, strict=True):
                self.image.entries.append(Entry(base, tap, 1, parts.lanes, min(left, FAR)))
        elif isinstance(layer, AddLayer):
            for tap, (base, weight) in enumerate(zip(places, layer.weights, strict=True)):
                count = len(weight_words(weight, self.array.largest_weight))
                self.image.entries.append(Entry(base, tap, 0, count, 1 - tap))
        elif isinstance(layer, ConcatLayer):
            bases = dict(zip(self.program.reads(layer), places, strict=True))
            pieces, _ = pieces_of(self.program, layer)
            self.image.entries += [Entry(bases[source] + first, 0, 0, 1, 0) for source, first in pieces]

    def _layer(self, layer: ProgramLayer) -> None:
        check_limits(self.program, layer, self.array, len(self.image.formats), self.final)
        words = self._geometry(layer) | self._output(layer) | {"weight": len(self.image.weights)}
        words |= {"list": len(self.image.entries), "tap": len(self.image.taps), "constant": len(self.image.constants)}
        match layer:
            case MacLayer():
                words |= self._mac(layer, words)
            case AddLayer():
                words |= self._add(layer)
            case MaxPoolLayer() | AvgPoolLayer() | ReluLayer() | ClipLayer() | TableLayer():
                words |= self._pool(layer, words)
            case ConcatLayer():
                words |= self._copy(layer, words)
        self._constants(layer, words)
        filling = self.array.whole_rows(len(self.image.weights)) - len(self.image.weights)
        self.image.weights += [(0,) * self.array.output_lanes] * filling
        self.image.layers.append(words)

    def _geometry(self, layer: Any) -> dict[str, int]:
        """Return where the windows lie: sizes, strides and the first word; and where what comes of them is written."""
        window, walk = window_of(layer), walk_of(self.program, layer, self.array)
        _, height, width = maps_of(self.program.shapes[layer.inputs[0]])
        top, left = window.padding[:2]
        single, map_words = not isinstance(layer, MacLayer), pitch_of(self.program, layer.inputs[0], self.array)
        target, parts = written(self.program, layer, self.array), maps_of(self.program.shapes[layer.name])[0]
        words = pitch_of(self.program, target, self.array) if walk.maps == parts else sum(walk.words)
        row_words = 1 if walk.joined else walk.down * width  # of a joined map, from one phase to the other
        return {
            "single": int(single),
            "double": int(walk.across == 2),
            "pixels": walk.lanes,
            "advance": walk.across * walk.lanes,
            "row_step": walk.down,
            "input_map": map_words,
            "height": height,
            "width": walk.across * walk.width if walk.joined else width,
            "top": top,
            "left": left,
            "origin": self._input(layer) - (top * width + left),
            "pool": int(walk.pool),
            "flat": int(walk.flat),
            "merge": int(walk.merged),
            "tiles": walk.tiles,
            "row_pixels": walk.width,
            "words": max(walk.words),
            "last_words": walk.words[-1],
            **self._turns(walk, row_words, map_words if single else 0),
            "output": self.places.tensors.get(target, 0),
            "group": walk.group,
            "rows": min(walk.group, walk.maps),
            "last_rows": (walk.maps - 1) % walk.group + 1,
            "line_turn": walk.words[-1],
            "output_map": words,
            "output_turn": words * walk.group - sum(walk.words[:-1]),
            "outputs": walk.maps,
            "maps_behind": 0,
            "taps": window.taps,
        }

    def _turns(self, walk: Walk, below: int, map_words: int) -> dict[str, int]:
        """Return how far the first window of a tile lies from that of the tile before; 0 where there is no such tile.

        Rows of windows lie `below` each other by so many words; the next group reads what lies `map_words` further.
        """
        step, rows, lines = walk.lanes * walk.across, below * walk.heights, walk.rows * walk.width // walk.line
        pair, last = below if walk.pool else 0, 0 if walk.merged or not walk.pool else below  # last: of a line's last
        passed, column = divmod((walk.places - 1) * walk.lanes, walk.width)  # by the last tile's place in its line
        turns = {
            "gap": walk.gap if walk.flat else 0,
            "pair_gap": walk.pair_gap if walk.merged else 0,
            "tile_turn": step - pair if walk.places > 1 else 0,
            "pair_turn": pair,
            "row_turn": 0,
            "group_turn": map_words - rows * (lines - 1 + passed) - column * walk.across - last,
        }
        if walk.flat:
            turns["row_turn"] = step + walk.gap - pair
        elif walk.rows > 1:
            turns["row_turn"] = rows - column * walk.across - last
        return {name: self._wrapped(words) for name, words in turns.items()}

    def _wrapped(self, words: int) -> int:
        """Return a distance modulo twice the memory: windows may begin in the padding however large it is."""
        half = 1 << address_bits(self.array.signal_words)
        return (words + half) % (2 * half) - half

    def _output(self, layer: Any) -> dict[str, int]:
        """Return what the drain does."""
        signal = self.program.signals[layer.name]
        requantize = getattr(layer, "requantize", None)
        raw, bits = isinstance(layer, MacLayer) and requantize is None, self.array.signal_bits
        lowest, highest = bounds_of(self.program, layer, self.array)
        return {
            "raw": int(raw),
            "relu": int(rectifies(self.program, layer, self.array)),
            "highest": ((1 << bits) - 1 if highest is None else highest) * self.array.ceiling,
            "lowest": (-1 << bits - 1 if lowest is None else lowest) * self.array.floor,
            "shift": requantize.shift if requantize else 0,
            "form": self.image.formats.index(signal.format) if requantize else 0,
            **self._table(layer),
        }

    def _table(self, layer: ProgramLayer) -> dict[str, int]:
        """Return where the drain looks codes up, if it does; addresses wrap, below the first word to the last one."""
        if not self.array.table_words:
            return {}
        place, signal = self.tables.get(layer.name), self.program.signals[written(self.program, layer, self.array)]
        wrapped = (place or 0) % (1 << address_bits(self.array.table_words))
        return {"tabled": int(place is not None), "table": wrapped, "table_signed": int(signal.format.signed)}

    def _pool(
        self, layer: MaxPoolLayer | AvgPoolLayer | ReluLayer | ClipLayer | TableLayer, words: dict[str, int]
    ) -> dict[str, int]:
        """A map at a time by weights of 1; of a ReLU, a clip or a table the drain has the maximum over one tap."""
        window, average = window_of(layer), isinstance(layer, AvgPoolLayer)
        if average and splits(self.program, layer, self.array):
            return self._average(window.taps, words, self._signed(layer))
        self._taps(window_taps(window, maps_of(self.program.shapes[layer.inputs[0]])[2]), self._signed(layer))
        self._lane_0([1] * window.taps)
        return {"maximum": int(not average), "counter": 1}

    def _copy(self, layer: ConcatLayer, words: dict[str, int]) -> dict[str, int]:
        """One tensor that is counted, or pieces of two that are listed: maxima over one tap."""
        self._taps(word_taps(np.zeros(1, np.int64)), self._signed(layer))
        self._lane_0([1])
        if words["outputs"] == 1:
            return {"maximum": 1, "counter": 1, "output": words["output"] + self._beyond(layer)}
        self._operands(layer)
        return {"maximum": 1, **self._turns(walk_of(self.program, layer, self.array), 1, 0)}

    def _beyond(self, layer: ConcatLayer) -> int:
        """Return where the one input that a concatenation copies begins in its output."""
        homes, first = self.program.homes, layer.inputs[0]
        return math.prod(self.program.shapes[first]) if homes[first] == homes[layer.name] else 0

    def _average(self, count: int, words: dict[str, int], is_signed: int) -> dict[str, int]:
        """The average of a whole map of `count` words: windows of neighbouring words, whose sum the lanes share."""
        starts, new = average_windows(count, self.array.pixel_lanes)
        self._taps(word_taps(starts), is_signed)
        self._lane_0(new.astype(np.int64).ravel().tolist())
        edges = {"height": 1, "width": min(count, self.array.pixel_lanes)}
        row = words["weight"] // self.array.weight_banks
        return edges | {"split": 1, "weight": row, "counter": 1, "taps": len(starts)}

    def _add(self, layer: AddLayer) -> dict[str, int]:
        """Two signals by positive weights, each the sum of as many weight words as it takes, on one tap."""
        self._operands(layer)
        parts = segments_of(self.program, layer, self.array)
        for source, weight in zip(layer.inputs, layer.weights, strict=True):
            found = weight_words(weight, self.array.largest_weight)
            is_signed = self.program.signals[source].format.signed
            self._taps(parts.taps() if parts else word_taps(np.zeros(1, np.int64)), int(is_signed))
            if parts:
                units = [parts.unit(word, self.array.output_lanes) for word in found]
                self.image.weights += [tuple(word) for unit in units for word in unit.tolist()]
            else:
                self._lane_0(found)
        return {"shared": 1} | (self._segments(parts) if parts else {})

    def _segments(self, parts: Segments) -> dict[str, int]:
        """Return the geometry of output lanes that are segments: each tile is a row, which begins behind the last."""
        tile, back = parts.maps * parts.lanes * parts.words, (parts.lanes - 1) * parts.apart - parts.words
        rows, memory = parts.maps * parts.lanes, 1 << address_bits(self.array.signal_words)
        lines = {"lines": 1, "pair": int(parts.maps == 2), "line_words": parts.apart, "rows": rows, "last_rows": rows}
        edges = {"height": 1, "width": parts.words, "top": 0, "left": 0, "gap": parts.words if parts.maps == 2 else 0}
        return lines | edges | {"row_turn": tile, "line_turn": tile, "output_map": -back % memory}

    def _constants(self, layer: ProgramLayer, words: dict[str, int]) -> None:
        """Put in place what the sums of a layer meet: a word for each output map, or one for all of them."""
        count, scale = constants_of(layer, words["outputs"]), getattr(layer, "requantize", None) or UNCHANGED
        start = self.array.lowest_code if words.get("maximum") else 0
        biases = layer.bias.tolist() if isinstance(layer, MacLayer) else [start] * count
        for bias, numbers in zip(biases, scale.of_outputs(count).tolist(), strict=True):
            word = dict(zip(("bias", "multiplier", "offset"), (bias, *numbers), strict=True))
            self.image.constants.append({name: word[name] for name in self.array.constant_fields})
        words["uniform"] = int(count == 1)

    def _lane_0(self, weights: Sequence[int]) -> None:
        idle = (0,) * (self.array.output_lanes - 1)
        self.image.weights += [(weight, *idle) for weight in weights]

    def _signed(self, layer: ProgramLayer) -> int:
        return int(self.program.signals[layer.inputs[0]].format.signed)

    def _mac(self, layer: MacLayer, words: dict[str, int]) -> dict[str, int]:
        if lines := lines_of(self.program, layer, self.array):
            return self._lines(layer, lines, words)
        runs = runs_of(self.program, layer, self.array)
        self._taps(runs.taps, self._signed(layer))
        found = combined_of(self.program, layer, self.array)
        self._weights(layer, runs.steps, found)
        self.image.entries += _entries(runs)
        more = {"counter": int(runs.pieces > 0), "shared": int(runs.shared), "combine": int(found is not None)}
        if runs.pieces:
            more |= {"input_map": runs.apart, "maps_behind": runs.pieces - 1, "taps": len(runs.taps)}
        return more | (self._split(layer, words) if runs.split else {})

    def _lines(self, layer: MacLayer, lines: Lines, words: dict[str, int]) -> dict[str, int]:
        """Return the geometry of output lanes that are rows of a map, or of two; the counter makes the one entry."""
        width, line, maps = self.program.shapes[layer.inputs[0]][2], self.program.shapes[layer.name][2], layer.shape[0]
        row_words, walk = width // lines.phases, walk_of(self.program, layer, self.array)
        self._taps(lines.taps(width), self._signed(layer))
        kernels = group_weights(layer.matrix, layer.shape, maps)[:, 0]
        for group in lines.weights(kernels, self.array.output_lanes):
            self._unit(group)
        beyond = (lines.rows - 1) * line  # what a tile writes in its first row, from where the next row of tiles begins
        return {
            "lines": 1,
            "pair": int(lines.maps == 2),
            "counter": 1,
            "taps": lines.steps,
            "line_words": line,
            "rows": lines.maps * lines.lanes,
            "last_rows": ((maps - 1) % lines.maps + 1) * lines.lanes,
            "width": row_words,
            "left": lines.left,
            "origin": self._input(layer) - (lines.window.padding[0] * row_words + lines.left),
            **self._turns(walk, walk.down * row_words, lines.maps * words["input_map"]),
            "gap": self._wrapped(words["input_map"] if lines.maps == 2 else 0),
            "output_map": words["output_map"] - (lines.lanes - 1) * line,
            "line_turn": words["line_turn"] + beyond,
            "output_turn": words["output_turn"] - (lines.tall - 1) * beyond,
        }

    def _split(self, layer: MacLayer, words: dict[str, int]) -> dict[str, int]:
        """Return the geometry of windows over an input of one row, which has as many words as pixel lanes or more."""
        width = min(math.prod(self.program.shapes[layer.inputs[0]]), self.array.pixel_lanes)
        edges = {"height": 1, "width": width, "top": 0, "left": 0, "origin": self._input(layer)}
        return edges | {"split": 1, "weight": words["weight"] // self.array.weight_banks}

    def _weights(self, layer: MacLayer, groups: Sequence[Integers], found: Combined | None) -> None:
        """Add the weights of each step, of each lane in it where sums are split; zeros where there is no column."""
        lanes, array = self.array.output_lanes, self.array
        if array.weights_per_multiplier == 2 and 2 * array.weight_bits + array.signal_bits == MULTIPLIER_WIDTH:
            lowest = -int(layer.matrix.min(initial=0))  # there is no bit left for the borrow of the lowest code
            check(layer.name, ("as the size of a weight", lowest, array.largest_weight))
        matrix = np.zeros((len(groups) * lanes, layer.matrix.shape[1] + 1), np.int64)  # the last column is none
        matrix[: layer.shape[0], :-1] = layer.matrix
        for index, columns in enumerate(groups):
            block = matrix[index * lanes : (index + 1) * lanes]
            if found:
                taken, rows = found.taken[index], np.arange(lanes)
                self._unit(block[rows, taken], self._takes(found.second(index, array.weights_per_multiplier)))
            else:
                self._unit(block[:, columns.ravel()].T)

    def _takes(self, second: NDArray[np.bool_]) -> Integers:
        """Return the number whose bits say which rows of multipliers take the second map (..., rows)."""
        return second @ (1 << np.arange(second.shape[-1]))

    def _unit(self, words: Integers, takes: Integers | None = None) -> None:
        """Add the words of a group (words, output lanes): to the memory, or to what is streamed."""
        if takes is not None and self.array.combines:
            words = np.append(words, np.broadcast_to(takes, len(words))[:, None], axis=1)
        unit = [tuple(word) for word in words.tolist()]
        if self.array.stream_words:
            self.image.units.append(unit)
        else:
            self.image.weights += unit

    def _taps(self, taps: Integers, is_signed: int) -> None:
        for rows, columns, words in taps.tolist():
            self.image.taps.append({"rows": rows, "columns": columns, "words": words, "signed": is_signed})


def _entries(runs: Runs) -> list[Entry]:
    """Return the entries of a layer."""
    fields = runs.bases, runs.offsets, runs.strides, runs.counts, runs.left, runs.others
    return [Entry(*entry) for entry in zip(*(x.tolist() for x in fields), strict=True)]

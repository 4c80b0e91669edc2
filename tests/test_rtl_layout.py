"""The manifest alone says where each part of a loaded word lies: by it a host reads or writes them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Shape
from support.programs import program, signal
from support.rtl_builds import write
from support.rtl_programs import ARRAY, images_of, mac

from accel.array import MacArray
from accel.cost import total_cycles, total_interval
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import MacLayer
from accel.window import Window
from rtl.core.accelerator import Accelerator
from rtl.emit import Job, manifest
from rtl.layout import Layout, fields_of, packer
from sim import golden

Words = dict[str, list[dict[str, int]]]


def parts_of(word: int, fields: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the parts of a word by their names."""
    parts = {}
    for field in fields:
        value = word >> field["offset"] & (1 << field["bits"]) - 1
        negative = field["signed"] and value >> field["bits"] - 1
        parts[field["name"]] = value - (1 << field["bits"] if negative else 0)
    return parts


def read(folder: Path, name: str, of: Mapping[str, Any]) -> Words:
    """Return what a file of loaded words has for each memory, in the order of the addresses, by a manifest."""
    names = {memory["target"]: name for name, memory in of["words"].items()}
    found: Words = {name: [] for name in of["words"]}
    for line in (folder / name).read_text().split():
        payload = parts_of(int(line, 16), of["payloads"]["load"])
        memory = names[payload["target"]]
        found[memory].append(parts_of(payload["word"], of["words"][memory]["fields"]))
    return found


def network() -> Program:
    """Return a dense convolution, one of kernel lists and a dense one that hands out accumulators, no group twice."""
    rng, pixels, codes = np.random.default_rng(0), signal(8, signed=False), signal(6)
    layers = [
        mac(rng, "first", INPUT, (4, 2, 9), pixels, window=Window((3, 3)), output=codes, multipliers=4),
        mac(rng, "second", "first", (3, 4, 9), codes, window=Window((3, 3)), pattern="kernel", output=codes),
        mac(rng, "third", "second", (4, 3, 1), codes, window=Window((1, 1))),
    ]
    return program(layers, (2, 7, 6), pixels)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Job]:
    """Return the folder of a build of the network, and what it runs."""
    of = network()
    codes = images_of(np.random.default_rng(1), of, 2)
    job = Job(of, codes, golden.run(of, codes)[of.output], total_cycles(of, ARRAY), total_interval(of, ARRAY))
    return write(tmp_path_factory.mktemp("words"), [job], ARRAY, None).folder, job


def agrees(of: Program, words: Words) -> bool:
    """Return whether weights, biases, multipliers and shifts that were read are those of the Program."""
    layers = [layer for layer in of.layers if isinstance(layer, MacLayer)]
    ends = [words["layers"][index]["weight"] for index in range(1, len(layers))] + [len(words["weights"])]
    right = True
    for layer, of_layer, end in zip(layers, words["layers"], ends, strict=False):
        outputs, place = layer.shape[0], of_layer["constant"]
        constants = words["constants"][place : place + outputs]
        right &= [word["bias"] for word in constants] == layer.bias.tolist()
        if layer.requantize:
            numbers = layer.requantize.of_outputs(outputs).tolist()
            right &= [word["multiplier"] for word in constants] == [multiplier for multiplier, _ in numbers]
            right &= of_layer["shift"] == layer.requantize.shift
        for lane in range(outputs):
            column = [word[f"lanes[{lane}]"] for word in words["weights"][of_layer["weight"] : end]]
            if layer.pattern == "dense":
                right &= column[: layer.matrix.shape[1]] == layer.matrix[lane].tolist()
            right &= sorted(filter(None, column)) == sorted(filter(None, layer.matrix[lane].tolist()))
    return right


def test_a_program_is_read_from_its_words(build: tuple[Path, Job]) -> None:
    """Weights in their order, biases, multipliers and shifts of each layer; as many words as the manifest says."""
    folder, job = build
    of = json.loads((folder / "manifest.json").read_text())
    words = read(folder, "load.hex", of)
    assert agrees(job.program, words)
    assert {name: len(words[name]) for name in of["jobs"][0]["used"] if name in words} == {
        name: count for name, count in of["jobs"][0]["used"].items() if name in words
    }
    assert [layer["final"] for layer in words["layers"]] == [0, 0, 1] * 2  # of two images in turn
    assert all(1 <= entry["count"] <= 9 for entry in words["entries"])
    assert [tap["signed"] for tap in words["taps"]] == [0] * 9 + [1] * 10


def test_images_are_read_from_their_words(build: tuple[Path, Job]) -> None:
    """A row of codes for each pixel lane, row-major, zeros behind the last one."""
    folder, job = build
    of = json.loads((folder / "manifest.json").read_text())
    lanes = of["array"]["pixel_lanes"]
    rows = [[word[f"codes[{lane}]"] for lane in range(lanes)] for word in read(folder, "signals.hex", of)["signals"]]
    for codes, image in zip(np.split(np.array(rows), 2), job.codes, strict=True):
        assert codes.ravel().tolist() == np.pad(image.ravel(), (0, -image.size % lanes)).tolist()


@pytest.mark.parametrize(
    ("memory", "name", "offset"), [("constants", "bias", 1), ("weights", "lanes[1]", -1), ("layers", "shift", 1)]
)
def test_a_wrong_place_is_noticed(memory: str, name: str, offset: int, build: tuple[Path, Job]) -> None:
    """The control: with one field a bit further the words are another Program's."""
    folder, job = build
    of = json.loads((folder / "manifest.json").read_text())
    (field,) = (field for field in of["words"][memory]["fields"] if field["name"] == name)
    field["offset"] += offset
    assert not agrees(job.program, read(folder, "load.hex", of))


@pytest.mark.parametrize(
    "array",
    [
        ARRAY,
        replace(ARRAY, list_entries=0, offset_bits=16),
        replace(ARRAY, weight_bits=4, stream_words=64, table_words=256),
        MacArray(1, 1, lines=False),
    ],
    ids=["lists", "offsets", "streamed", "one lane"],
)
def test_fields_fill_every_word(array: MacArray) -> None:
    """They lie side by side from bit 0 to the last, in each memory that is built and each stream; `packer` agrees."""
    found: Any = manifest([], Accelerator(array, ()), [])
    assert set(found["words"]) == {memory.name for memory in array.memories}
    assert ("units" in found["payloads"]) == bool(array.stream_words)
    for name, memory in found["words"].items():
        assert sum(field["bits"] for field in memory["fields"]) == memory["bits"] <= Layout(array).load_bits, name
    layouts = [*Layout(array).loaded.values(), Layout(array).load]
    for shape, fields in zip(
        layouts, [*(x["fields"] for x in found["words"].values()), found["payloads"]["load"]], strict=True
    ):
        places = [0, *np.cumsum([field["bits"] for field in fields]).tolist()]
        assert [field["offset"] for field in fields] == places[:-1]
        assert places[-1] == Shape.cast(shape).width
    layer = {field["name"]: 1 << field["offset"] for field in fields_of(Layout(array).layer)}
    assert {name: packer(Layout(array).layer)({name: 1}) for name in layer} == layer

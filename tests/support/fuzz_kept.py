"""Damaged files of those that Espalier keeps and reads again, and of the TOML that users write; see `cases`."""

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from accel.cost.technology import Technology, load_technology
from accel.errors import EspalierError
from accel.records import json_text, parse_json, record_of, sealed, unsealed
from reports.bench import results as bench
from reports.explore import results as exploration
from reports.report import results as report
from reports.shared.journal import Journal
from reports.shared.schema import saved
from reports.shared.store import opened
from reports.studies.bitwidth import results as bitwidth
from reports.studies.pruning import results as pruning
from reports.workflow.formats_file import read_formats
from support.commandline import made_results
from support.explorations import results as made_exploration
from support.fuzz_cases import BINARY, TEXT, Case, Rng, damaged

STUDIES = Path(__file__).parents[2] / "reports" / "studies"
TECHNOLOGY = b"""
[mine]
about = "my chip"
multipliers = 10
[[mine.macro]]
name = "R"
shapes = [[64, 8], [32, 16]]
available = 3
source = "data sheet"
[mine.energy]
source = "paper"
multiply = [[8, 0.2], [32, 3.1]]
add = [[8, 0.03]]
sram = [[8, 10.0], [32, 20.0]]
sram_access_bits = 64
register = 0.5
dram = 20
[mine.area]
source = "paper"
multiply = [[8, 282], [32, 3495]]
add = [[8, 36]]
sram = 1.2
"""
FORMATS = b"""
input = "ap_ufixed<8,0,AP_RND,AP_SAT>"
[conv1]
weight = "ap_fixed<6,1,AP_RND,AP_SAT>"
output = "ap_ufixed<8,3,AP_RND_CONV,AP_SAT_SYM>"
[fc2]
weight = "ap_fixed<6,-1,AP_TRN_ZERO,AP_WRAP_SM>"
"""
KEYS = [f'{{"network": "{number:016x}", "weight_bits": {number}}}' for number in range(40)]
EXTREMES = (1, 1 << 10, 1 << 40)  # bits of words and memories of which a technology is asked


def cases(rng: Rng) -> Iterator[Case]:
    """Yield one case of each format, over and over."""
    while True:
        for name, make in FORMATS_OF.items():
            yield Case(name, make(rng))


# results.json


@cache
def _results() -> tuple[tuple[Any, str], ...]:
    """Return classes of results, each with the text of some."""
    kept = {
        bitwidth.Results: "bitwidth/digits",
        pruning.Results: "pruning/cifar-quick",
        bench.Results: "bench",
    }
    texts = [(kind, (STUDIES / folder / "results.json").read_text()) for kind, folder in kept.items()]
    made = made_results(), made_exploration()
    return (*texts, (report.Results, made[0].to_json()), (exploration.Results, made[1].to_json()))


def damage_results(rng: Rng) -> tuple[Any, bytes]:
    """Return a class of results, and a damaged file of some."""
    kind, text = _results()[rng.integers(len(_results()))]
    return kind, damaged(text.encode(), rng)


def _read_results(rng: Rng) -> Callable[[Path], None]:
    kind, data = damage_results(rng)

    def run(folder: Path) -> None:
        (folder / "results.json").write_bytes(data)
        found = saved(folder / "results.json", kind.from_json)
        assert found == kind.from_json(next(text for other, text in _results() if other is kind))

    return run


# points.jsonl


@cache
def _journal() -> tuple[bytes, tuple[Any, ...]]:
    """Return a journal of points of a study, and the points."""
    points = bitwidth.Results.from_json((STUDIES / "bitwidth/digits/results.json").read_text()).points[:40]
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "points.jsonl"), "point")
        for point in points:
            journal.add({"task": vars(point.task), "values": point.values})
        return journal.path.read_bytes(), points


def damage_journal(rng: Rng) -> bytes:
    """Return a damaged journal of a study."""
    return damaged(_journal()[0], rng)


def _read_journal(rng: Rng) -> Callable[[Path], None]:
    data = damage_journal(rng)

    def run(folder: Path) -> None:
        (folder / "points.jsonl").write_bytes(data)
        known = {point.task.key: point for point in _journal()[1]}
        found: list[Any] = []
        journal = Journal(folder / "points.jsonl", "point")
        journal.read(lambda record: found.append(record_of(bitwidth.Point, record)))
        assert all(point == known[point.task.key] for point in found)
        journal.add({"task": {}})
        again: list[Any] = []
        Journal(folder / "points.jsonl", "point").read(again.append)
        assert len(again) == len(found) + 1

    return run


# the store of a cache


@cache
def _store() -> dict[str, bytes]:
    """Return the files of a store that somebody has open: the database, and what is written ahead."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "results.sqlite")
        with opened(path) as store:
            for number, key in enumerate(KEYS):
                store.add(key, _value(number))
        with opened(path) as store:
            store.add("more", b"1")
            return {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")}


def _value(number: int) -> bytes:
    return json_text({"rate": number / 100, "words": list(range(number))}).encode()


def damage_store(rng: Rng) -> dict[str, bytes]:
    """Return the files of a store, one of them damaged."""
    files = dict(_store())
    name = sorted(files)[0 if rng.random() < 0.8 else -1]
    files[name] = damaged(files[name], rng, (*BINARY, *TEXT[1:4]))
    return files


def _read_store(rng: Rng) -> Callable[[Path], None]:
    files = damage_store(rng)

    def run(folder: Path) -> None:
        for name, data in files.items():
            (folder / name).write_bytes(data)
        with opened(folder / "results.sqlite") as store:
            for number, key in enumerate(KEYS):
                assert store.get(key) in (_value(number), None)
                store.add(key, _value(number))
                assert store.get(key) == _value(number)

    return run


def damage_row(rng: Rng) -> str:
    """Return SQL that changes a row of a store as SQLite itself would."""
    changes = (
        "value = x'7b7d'",
        "digest = x'00'",
        f"key = '{KEYS[0]}'",
        "value = 3.5",
        "digest = 'text'",
        "value = ''",
    )
    digit = f"value = CAST(replace(CAST(value AS TEXT), '{rng.integers(10)}', '{rng.integers(10)}') AS BLOB)"
    return f"UPDATE OR IGNORE results SET {(*changes, digit, digit)[rng.integers(8)]}"


def _read_rows(rng: Rng) -> Callable[[Path], None]:
    change, key = damage_row(rng), KEYS[rng.integers(len(KEYS))]

    def run(folder: Path) -> None:
        for name, data in _store().items():
            (folder / name).write_bytes(data)
        with closing(sqlite3.connect(folder / "results.sqlite")) as connection, connection:
            connection.execute(f"{change} WHERE key = ?", (key,))
        with opened(folder / "results.sqlite") as store:
            for number, known in enumerate(KEYS):
                assert store.get(known) in ((_value(number), None) if known == key else (_value(number),))

    return run


# checkpoints of a training


@cache
def _checkpoint() -> bytes:
    """Return the checkpoint of a training, which `_trained` goes on from."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.checkpoint")
        checkpoint, module, optimizer = _training(path)
        checkpoint.write(3, module, optimizer)
        return path.read_bytes()


def _training(path: Path) -> tuple[Any, Any, Any]:
    """Return the checkpoint at `path`, and a small network with an optimizer that has taken a step."""
    import torch

    from accel.train.checkpoint import Checkpoint

    module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(6, 2))
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape) + number)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    return Checkpoint(path, {"epochs": "4", "network": "0123456789abcdef"}), module, optimizer


def damage_checkpoint(rng: Rng) -> bytes:
    """Return a damaged checkpoint."""
    return damaged(_checkpoint(), rng, (*BINARY, *TEXT[2:4]))


def _read_checkpoint(rng: Rng) -> Callable[[Path], None]:
    data = damage_checkpoint(rng)

    def run(folder: Path) -> None:
        (folder / "run.checkpoint").write_bytes(data)
        checkpoint, module, optimizer = _training(folder / "run.checkpoint")
        before = [x.clone() for x in module.state_dict().values()]
        try:
            assert (checkpoint.restore(module, optimizer), data) == ((3, None), _checkpoint())
        except EspalierError:  # and nothing was loaded by then
            assert all(np.array_equal(a, b) for a, b in zip(before, module.state_dict().values(), strict=True))
            raise

    return run


# run.json of a folder of checkpoints


def damage_run(rng: Rng) -> bytes:
    """Return a damaged note of which run a folder of checkpoints is of."""
    return damaged(_run_json(), rng)


@cache
def _run_json() -> bytes:
    return json_text(sealed({"network": "digits", "seed": "3", "ratio": "0.7", "budget": "100"}), indent=1).encode()


def _read_run(rng: Rng) -> Callable[[Path], None]:
    data = damage_run(rng)

    def run(folder: Path) -> None:
        (folder / "run.json").write_bytes(data)
        found = saved(folder / "run.json", lambda text: unsealed(parse_json(text)))
        assert found == unsealed(parse_json(_run_json()))

    return run


# TOML


def damage_technology(rng: Rng) -> bytes:
    """Return a damaged technology."""
    return damaged(TECHNOLOGY, rng)


def _read_technology(rng: Rng) -> Callable[[Path], None]:
    data = damage_technology(rng)

    def run(folder: Path) -> None:
        (folder / "mine.toml").write_bytes(data)
        check_sound(load_technology(folder / "mine.toml"))

    return run


def check_sound(technology: Technology) -> None:
    """Raise AssertionError if a technology, whatever it says, has a number for a design that JSON has not."""
    found: list[float] = [macro.bits for macro in technology.macros]
    for bits in EXTREMES:
        if energy := technology.energy:
            found += [
                energy.mac_joules(bits, bits, bits),
                energy.sram_joules(bits, 1 << 20),
                energy.dram,
                energy.register,
            ]
        if area := technology.area:
            found += [area.multiply.at(bits), area.add.at(bits), area.sram * bits]
    assert all(math.isfinite(1e20 * number) and number >= 0 for number in found)


def damage_formats(rng: Rng) -> bytes:
    """Return a damaged file of formats."""
    return damaged(FORMATS, rng)


def _read_formats(rng: Rng) -> Callable[[Path], None]:
    data = damage_formats(rng)

    def run(folder: Path) -> None:
        (folder / "formats.toml").write_bytes(data)
        found = read_formats(folder / "formats.toml")
        assert all(form.width >= 1 for form in (*found.weights.values(), *found.outputs.values()))

    return run


FORMATS_OF: dict[str, Callable[[Rng], Callable[[Path], None]]] = {
    "results.json": _read_results,
    "points.jsonl": _read_journal,
    "results.sqlite": _read_store,
    "rows of results.sqlite": _read_rows,
    "training checkpoint": _read_checkpoint,
    "run.json": _read_run,
    "technology": _read_technology,
    "formats": _read_formats,
}

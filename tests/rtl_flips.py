"""Flipped bits of memory images: what 50 images notice, where it is located, and why the rest changes nothing.

    python tests/rtl_flips.py --flips 20 --images 50 --seed 1

has Verilator run digits, pruned by kernels, on a 4x4 array, with one bit of one loaded word flipped at a time: so many
in each memory, drawn at random from all that is loaded. A flip that two images do not show runs with all. Writes
flips.json and README.md into reports/studies/flipped_bits. What is measured stays in the folder --work: a stopped run
goes on.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from support.flip_reasons import Flip, Reasons

from accel.array import DEPTHS, MacArray
from accel.demand import array_for
from accel.files import write_whole
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.program import Program
from accel.program_layers import TableLayer
from accel.quantize import Widths, lower
from reports.shared.journal import Journal
from reports.workflow.hardware import job_of
from rtl import simulators
from rtl.emit import Job, emit
from rtl.layout import Layout, Target, fields_of
from rtl.locate import first_fault
from sim import golden

STUDY = Path(__file__).parents[1] / "reports" / "studies" / "flipped_bits"
FEW = 2  # images that run first: one of each place
JOB_IMAGES = 1  # the line of jobs.hex that says how many images run


def study_program() -> Program:
    """Return digits, pruned by kernels, with a square root of codes behind its first layer: all memories are used."""
    pixels = datasets.load("digits", "train").take(64).pixels()
    made = lower(zoo.load("digits", "kernel"), Widths(4, 5), pixels)
    first = made.layers[0]
    form = first.output.format
    codes = np.rint(np.sqrt(np.arange(form.max_code + 1) * form.max_code)).astype(np.int64)
    table = TableLayer("root1", (first.name,), codes, 0, first.output)
    behind = [replace(x, inputs=tuple(table.name if y == first.name else y for y in x.inputs)) for x in made.layers[1:]]
    return replace(made, layers=(first, table, *behind))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of a flip: the layer that the bit is of, whether it was noticed, and the layer that was located."""

    flip: Flip
    images: int
    noticed: bool
    located: str


def draw_flips(files: Mapping[str, bytes], array: MacArray, each: int, rng: np.random.Generator) -> list[Flip]:
    """Return so many different bits of the words that are loaded into each memory."""
    layout, found = Layout(array), list[Flip]()
    loads = [int(line, 16) & 7 for line in files["load.hex"].split()]
    for name, shape in layout.loaded.items():
        target = Target[name.upper()]
        fields = fields_of(shape)
        words = int(files["jobs.hex"].split()[2], 16) if target is Target.SIGNALS else loads.count(target)
        bits = [(field, bit) for field in fields for bit in range(int(str(field["bits"])))]
        for place in rng.choice(words * len(bits), each, replace=False).tolist():
            word, (field, bit) = place // len(bits), bits[place % len(bits)]
            found.append(Flip(memory=name, word=word, field=str(field["name"]), bit=bit))
    return found


def _offsets(shape: Any) -> dict[str, int]:
    """Return where each field of a word lies."""
    return {str(field["name"]): int(str(field["offset"])) for field in fields_of(shape)}


class Bench:
    """A compiled build, in which one bit at a time is another."""

    def __init__(self, folder: Path, job: Job, array: MacArray) -> None:
        self.folder, self.job, self.array = folder, job, array
        self.files = emit([job], array)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        layout = Layout(array)
        self.fields = {name: _offsets(shape) for name, shape in layout.loaded.items()}
        self.word = _offsets(layout.load)["word"]
        self.tensors = golden.run(job.program, job.codes)

    def seen(self, flip: Flip) -> Seen:
        """Run with a flip, few images and then all, until it is noticed; return what came of it."""
        self._plant(flip)
        for images in (FEW, len(self.job.codes)):
            lines = self.files["jobs.hex"].split()
            lines[JOB_IMAGES] = f"{images:08x}".encode()
            (self.folder / "jobs.hex").write_bytes(b"\n".join(lines) + b"\n")
            outcome = simulators.run(self.folder, "verilator")
            if outcome.errors:
                return Seen(flip=flip, images=images, noticed=True, located=self._located(outcome))
        return Seen(flip=flip, images=images, noticed=False, located="")

    def _plant(self, flip: Flip) -> None:
        bit = 1 << self.word + self.fields[flip.memory][flip.field] + flip.bit
        for name in ("load.hex", "signals.hex"):
            lines = self.files[name].split()
            if flip.memory == "signals" and name == "signals.hex":
                places = range(flip.word, len(lines), len(lines) // len(self.job.codes))
            elif flip.memory != "signals" and name == "load.hex":
                first = next(x for x, line in enumerate(lines) if int(line, 16) & 7 == Target[flip.memory.upper()])
                places = range(first + flip.word, first + flip.word + 1)
            else:
                places = range(0)
            for place in places:
                lines[place] = f"{int(lines[place], 16) ^ bit:0{len(lines[place])}x}".encode()
            (self.folder / name).write_bytes(b"\n".join(lines) + b"\n")

    def _located(self, outcome: simulators.Outcome) -> str:
        image = outcome.first_image
        if image is None:
            return ""
        rows = simulators.watch(self.folder, "verilator", self.array, image)
        tensors = {name: codes[image] for name, codes in self.tensors.items()}
        fault = first_fault(self.job.program, self.array, tensors, rows)
        return fault.layer if fault else ""


def measure(work: Path, images: int, each: int, seed: int) -> tuple[Job, MacArray, list[Seen]]:
    """Return the job, its array, and what came of each flip."""
    program = study_program()
    array = array_for(program, 4, 4)
    pixels = datasets.load("digits", "test").take(images).pixels()
    job = job_of(program, array, program.input_signal.encode(pixels))
    bench = Bench(work, job, array)
    flips = draw_flips(bench.files, array, each, np.random.default_rng(seed))
    if not (work / "obj_dir" / "simulation").exists():
        simulators.build(work, "verilator", watched=True)
    journal, known = Journal(work / "flips.jsonl", "what came of a flip"), dict[str, Seen]()

    def take(record: dict[str, Any]) -> None:
        known[str(record["flip"])] = Seen(**{**record, "flip": Flip(**record["flip"])})

    journal.read(take)
    for number, flip in enumerate(flips):
        if str(asdict(flip)) not in known:
            take(journal.add(asdict(bench.seen(flip))))
            print(f"{number + 1}/{len(flips)} {known[str(asdict(flip))]}", flush=True)
    return job, array, [known[str(asdict(flip))] for flip in flips]


def record(seen: Sequence[Seen], reasons: Reasons, command: str) -> dict[str, Any]:
    """Return what was measured, for flips.json: a row for each flip, with the layer whose word it is of."""
    rows = []
    for one in seen:
        reason = "" if one.noticed else reasons.reason(one.flip)
        rows.append(asdict(one) | {"layer": reasons.owner(one.flip).name, "reason": reason})
    images = len(reasons.job.codes)
    return {"version": 1, "command": command, "images": images, "array": asdict(reasons.array), "flips": rows}


def page(made: Mapping[str, Any]) -> str:
    """Return README.md."""
    lines = [
        "# Flipped bits of memory images\n",
        f"    {made['command']}\n",
        "Digits, pruned by kernels, 4-bit weights and 5-bit signals, with a table of the square root behind conv1, on",
        "a 4x4 array in Verilator: one bit of one loaded word flipped at a time, of signals in every image. *Located*:",
        "`rtl.locate` finds the first wrong word in the layer whose memory word it was.\n",
        f"| memory | flipped | noticed by 2 images | by {made['images']} | located | explained | open |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    kinds = {name: [x for x in made["flips"] if x["flip"]["memory"] == name] for name in DEPTHS}
    for name, rows in (kinds | {"all": made["flips"]}).items():
        noticed = [row for row in rows if row["noticed"]]
        quick = sum(row["images"] == FEW for row in noticed)
        located = sum(row["located"] == row["layer"] for row in noticed)
        explained = sum(bool(row["reason"]) for row in rows)
        counts = len(rows), quick, len(noticed), located, explained, len(rows) - len(noticed) - explained
        lines.append(f"| {name} | {' | '.join(map(str, counts))} |")
    lines += ["", "What changes no output, and why:", "", "| memory | layer | word | field | bit | reason |"]
    lines.append("| --- | --- | ---: | --- | ---: | --- |")
    for row in made["flips"]:
        if not row["noticed"]:
            flip = row["flip"]
            where = f"| {flip['memory']} | {row['layer']} | {flip['word']} | `{flip['field']}` | {flip['bit']} |"
            lines.append(f"{where} {row['reason'] or 'open'} |")
    lines += [
        "",
        "Words and fields are those of a build's `manifest.json`; `tests/support/flip_reasons.py` checks each reason.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description="Flipped bits of memory images.")
    parser.add_argument("--flips", type=int, default=20, help="in each memory")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("build") / "flips", help="where a stopped run goes on")
    parser.add_argument("--out", type=Path, default=STUDY)
    arguments = parser.parse_args()
    job, array, seen = measure(arguments.work, arguments.images, arguments.flips, arguments.seed)
    sample = f"--flips {arguments.flips} --images {arguments.images} --seed {arguments.seed}"
    made = record(seen, Reasons(job, array), f"python tests/rtl_flips.py {sample}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_whole(arguments.out / "flips.json", (json.dumps(made, indent=1) + "\n").encode())
    write_whole(arguments.out / "README.md", page(made).encode())
    noticed = sum(row["noticed"] for row in made["flips"])
    unexplained = sum(not row["noticed"] and not row["reason"] for row in made["flips"])
    print(f"{noticed} of {len(seen)} noticed, {unexplained} neither noticed nor explained")
    raise SystemExit(unexplained > 0)


if __name__ == "__main__":
    main()

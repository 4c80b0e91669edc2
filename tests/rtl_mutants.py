"""The mutation score of the hardware: how many small errors in it the self-checking testbench notices.

    python tests/rtl_mutants.py --mutants 320 --seed 1 --jobs 1700

emits a 4x4 array that streams its weights, for random jobs (`rtl_layers`), plants a sample of mutants
(`reports.maintain.mutants`), runs the testbench on each, tries to prove each survivor equivalent
(`reports.maintain.mutant_proofs`), and writes mutation.json and README.md into reports/studies/mutation. Verdicts are
kept in the folder --work as they come: a stopped run goes on where it was; another design, other jobs or another sample
begin anew.
"""

import argparse
import hashlib
import json
import resource
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from support.rtl_layers import random_job

from accel.array import MacArray
from accel.cost import total_cycles, total_interval
from accel.errors import EspalierError
from accel.files import write_whole
from accel.records import record_of
from reports.maintain import mutants as mutate
from reports.maintain.mutant_proofs import equivalent
from reports.maintain.mutants import Mutant, Verdict
from reports.shared.journal import Journal
from rtl import simulators
from rtl.assemble import assemble
from rtl.emit import Job, emit

VERDICTS = "verdicts.jsonl"
STUDY = Path(__file__).parents[1] / "reports" / "studies" / "mutation"
ARRAY = MacArray(
    output_lanes=4,
    pixel_lanes=4,
    signal_words=512,
    weight_words=512,
    list_entries=128,
    taps=128,
    constants=32,
    layers=8,
    stream_words=64,
    ceiling=True,
    floor=True,
)
MOST_CYCLES = 2000  # of an image
EQUIVALENT = ("equivalent", "for each row")  # proofs by which a mutant is no error
FALLS_OFF = "what falls off in a shift by 16 or more: counts only if all other bits below are 0 and rounding asks"
FOUND_BY_HAND = {  # why the sample's survivors survive that yosys does not prove equivalent, by error and place
    "const0 core.fetch.$lt$espalier.v:12280$5646 A[7] = core.fetch.at_row_behind[7]": (
        "a bit of a row that maps of 128 rows and more have: no random job has one"
    ),
    "const0 $auto$ff.cc:337:slice$17020 D[285] = core.sequencer.layer$10[285]": (
        "bit 9 of the words of an output map, which all 512 words of signals would be"
    ),
    "const1 core.drain.column2.$reduce_or$espalier.v:7631$3496 Y[0] = core.drain.column2.$44[0]": FALLS_OFF,
    "const0 core.drain.column3.$reduce_or$espalier.v:8952$4011 A[4] = core.drain.column3.$68[4]": FALLS_OFF,
    "const1 core.drain.column3.$reduce_or$espalier.v:8940$3999 Y[0] = core.drain.column3.$45[0]": FALLS_OFF,
}


@dataclass(frozen=True)
class Row:
    """A mutant and what came of it; `proof` is that of `reports.maintain.mutant_proofs`."""

    mutant: Mutant
    verdict: Verdict
    proof: str = ""

    @property
    def killed(self) -> bool:
        """Whether the testbench noticed."""
        return self.verdict.kind != "survived"

    @property
    def reason(self) -> str:
        """Why it survived, as far as that is known."""
        if self.proof == "equivalent":
            return "equivalent, proven: no input and no state makes a difference"
        if self.proof == "for each row":
            return "equivalent, proven: no row that passes the drain's column makes a difference"
        if self.proof:
            return "equivalent but for reset, proven; the testbench resets once, at the start"
        return FOUND_BY_HAND.get(f"{self.mutant.mode} {self.mutant.place}", "open")


def draw_jobs(count: int, seed: int) -> list[Job]:
    """Return random jobs that fit `ARRAY` and do not take long; some have so many images that places are used again."""
    rng, jobs = np.random.default_rng(seed), list[Job]()
    while len(jobs) < count:
        job = random_job(rng)
        cycles = total_cycles(job.program, ARRAY)
        if cycles <= MOST_CYCLES and _fits(job):
            times = {"cycles": cycles, "interval": total_interval(job.program, ARRAY)}
            jobs.append(replace(job, **times, **(_repeated(job) if len(jobs) % 4 == 0 else {})))
    return jobs


def _repeated(job: Job) -> dict[str, Any]:
    """Return a job's images and what comes of them, and then both backwards."""
    return {name: np.concatenate([x, x[::-1]]) for name, x in (("codes", job.codes), ("outputs", job.outputs))}


def _fits(job: Job) -> bool:
    try:
        assemble(job.program, ARRAY)
    except EspalierError:
        return False
    return True


def prepare(work: Path, files: dict[str, bytes], count: int, seed: int, simulator: str) -> list[Mutant]:
    """Return the mutants of the compiled build in `work`, made anew where it is that of something else."""
    digest = hashlib.sha256(repr((sorted(files.items()), count, seed, simulator, mutate.LIST)).encode()).hexdigest()
    mark = work / "digest.txt"
    if mark.exists() and mark.read_text() == digest:
        return mutate.parse((work / "mutations.ys").read_text())
    mark.unlink(missing_ok=True)
    (work / VERDICTS).unlink(missing_ok=True)
    mutants = mutate.mutate(work, files, count, seed)
    simulators.build(work, simulator)
    mark.write_text(digest)
    return mutants


def judge(work: Path, mutants: Sequence[Mutant], simulator: str, workers: int) -> list[Row]:
    """Run the testbench on every mutant that has no verdict in `work` yet."""
    start = _seconds_of_children()
    if mutate.run(work, simulator, 0, 600).kind != "survived":
        raise EspalierError("the hardware without a mutant fails its testbench")
    limit = 2 + int(3 * (_seconds_of_children() - start))
    journal, known = Journal(work / VERDICTS, "verdict of a mutant"), dict[int, Verdict]()

    def take(record: dict[str, Any]) -> None:
        known[record["number"]] = record_of(Verdict, record["verdict"])

    journal.read(take)
    open_mutants = [mutant for mutant in mutants if mutant.number not in known]
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda mutant: mutate.run(work, simulator, mutant.number, limit), open_mutants)
        for mutant, verdict in zip(open_mutants, found, strict=True):
            take(journal.add({"number": mutant.number, "verdict": asdict(verdict)}))
            print(f"{mutant.number}/{len(mutants)} {verdict.kind} {mutant.mode} {mutant.place}", flush=True)
    return [Row(mutant, known[mutant.number]) for mutant in mutants]


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def prove(work: Path, rows: Sequence[Row]) -> list[Row]:
    """Add to each survivor whether it is proven to be no error."""
    survivors = [row.mutant for row in rows if not row.killed]
    proofs = equivalent(work, survivors) if survivors else {}
    return [replace(row, proof=proofs.get(row.mutant.number, "")) for row in rows]


def record(rows: Sequence[Row], jobs: Sequence[Job], command: str) -> dict[str, object]:
    """Return what was measured, for mutation.json."""
    killed = sum(row.killed for row in rows)
    proven = sum(row.proof in EQUIVALENT for row in rows)
    return {
        "version": 1,
        "command": command,
        "array": asdict(ARRAY),
        "images": sum(len(job.codes) for job in jobs),
        "cycles": sum(job.cycles * len(job.codes) for job in jobs),
        "mutants": len(rows),
        "killed": killed,
        "equivalent": proven,
        "score": round(killed / (len(rows) - proven), 4),
        "killed_by": dict(Counter(row.verdict.kind for row in rows if row.killed).most_common()),
        "rows": [
            {"number": row.mutant.number, "mode": row.mutant.mode, "place": row.mutant.place, **asdict(row.verdict)}
            | ({} if row.killed else {"reason": row.reason})
            for row in rows
        ],
    }


def page(made: dict[str, object], rows: Sequence[Row]) -> str:
    """Return README.md."""
    survivors = [row for row in rows if not row.killed]
    kinds = ", ".join(f"{kind} {count}" for kind, count in dict(made["killed_by"]).items())  # type: ignore[call-overload]
    lines = [
        "# Mutation score of the hardware\n",
        f"    {made['command']}\n",
        "yosys plants one small error at a time in a 4x4 array with streamed weights (a bit inverted, constant, or",
        "inverted where another is 0 or 1); the self-checking testbench runs "
        f"{made['images']} images of random Programs ({made['cycles']:,} cycles),",
        "and once more with the output held back, until it notices.\n",
        "| mutants | killed | proven equivalent | survived otherwise | killed, of those not equivalent |",
        "| ---: | ---: | ---: | ---: | ---: |",
        f"| {made['mutants']} | {made['killed']} | {made['equivalent']} | "
        f"{len(survivors) - int(str(made['equivalent']))} | {float(str(made['score'])):.1%} |\n",
        f"Killed by: {kinds}. `mutation.json` holds every mutant and the testbench's line about it.\n",
        "| survivor | error | where | why |",
        "| ---: | --- | --- | --- |",
    ]
    lines += [f"| {row.mutant.number} | {row.mutant.mode} | `{row.mutant.place}` | {row.reason} |" for row in survivors]
    lines += [
        "",
        "Proofs are yosys's (`reports.maintain.mutant_proofs`). "
        "The other reasons were found by hand in the netlist, and are not",
        "proven; the score counts these survivors as missed.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure the score and write it down."""
    parser = argparse.ArgumentParser(description="The mutation score of the hardware.")
    parser.add_argument("--mutants", type=int, default=320)
    parser.add_argument("--seed", type=int, default=1, help="of the sample and of the jobs")
    parser.add_argument("--jobs", type=int, default=1700)
    parser.add_argument("--simulator", default="verilator", choices=list(simulators.COMMANDS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("build") / "mutation", help="where a stopped run goes on")
    parser.add_argument("--out", type=Path, default=STUDY)
    arguments = parser.parse_args()
    jobs = draw_jobs(arguments.jobs, arguments.seed)
    mutants = prepare(arguments.work, emit(jobs, ARRAY), arguments.mutants, arguments.seed, arguments.simulator)
    rows = prove(arguments.work, judge(arguments.work, mutants, arguments.simulator, arguments.workers))
    sample = f"--mutants {arguments.mutants} --seed {arguments.seed} --jobs {arguments.jobs}"
    made = record(rows, jobs, f"python tests/rtl_mutants.py {sample}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_whole(arguments.out / "mutation.json", (json.dumps(made, indent=1) + "\n").encode())
    write_whole(arguments.out / "README.md", page(made, rows).encode())
    score = float(str(made["score"]))
    print(f"{made['killed']} of {made['mutants']} killed, {made['equivalent']} equivalent: {score:.1%}")


if __name__ == "__main__":
    main()

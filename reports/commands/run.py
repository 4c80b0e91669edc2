"""What `espalier run` does: the error rate of a Program, and the engine's speed."""

import time
from pathlib import Path

import click

from accel.interchange.data.datasets import AUC, SPLITS
from accel.program import Program
from reports.commands.options import IN, data_options, images_option, jobs_option, json_option, metric_option, option
from reports.commands.places import Command, Word
from reports.shared import output
from reports.workflow.evaluate import areas_of, program_error_rate, program_outputs
from reports.workflow.sources import check_range, source_of
from sim.engine import compile_program


@click.command("run", cls=Command)
@click.argument("program", type=IN)
@option(
    "--split",
    type=Word(lambda: SPLITS),
    default="test",
    show_default=True,
    help="Split to run: train, validation or test.",
)
@images_option
@json_option
@data_options
@metric_option
@jobs_option
def command(
    program: Path,
    data: str | None,
    split: str,
    data_dir: str | None,
    images: int | None,
    jobs: int | None,
    metric: str,
    json_file: Path | None,
) -> None:
    """Run a Program bit for bit: error rate and images per second.

    Example: espalier run lenet5.espalier --data mnist --data-dir data
    """
    loaded = Program.load(program)
    images_of = source_of(str(program), loaded, data, data_dir, metric=metric).load(split)
    check_range(images_of, loaded, loaded.name)
    images_of = images_of.take(images) if images else images_of
    codes = images_of.codes(loaded.input_signal)
    engine = compile_program(loaded)
    engine.run(codes[:1], jobs)  # compiles the kernels, or fetches them from the cache
    start = time.perf_counter()
    rate = program_error_rate(engine, codes, images_of, jobs)
    seconds = time.perf_counter() - start
    record = {
        "program": str(program),
        "data": images_of.name,
        "split": images_of.split,
        "images": len(images_of),
        "error_rate": rate,
        "images_per_second": len(images_of) / seconds,
        "macs": engine.run(codes[:1], jobs).macs,
    }
    areas: dict[str, float] = {}
    if images_of.metric == AUC:
        areas = areas_of(program_outputs(engine, codes, jobs), images_of, loaded.name)
        record["auc"] = areas
    if json_file:
        output.write_json(json_file, record)
    if areas:
        print(f"AUC {1 - rate:.4f}: {', '.join(f'{machine} {area:.4f}' for machine, area in areas.items())}")
    print(f"{program}: {rate:.2%} error on {len(images_of):,} images, {record['images_per_second']:,.0f} images/s")

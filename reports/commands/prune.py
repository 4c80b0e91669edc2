"""What `espalier prune` does: dense network in, pruned network out, with what it cost in error rate."""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.table import Table
from threadpoolctl import threadpool_limits

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import SPLITS, Dataset, check_choice
from accel.prune import (
    Magnitude,
    Progress,
    Ratio,
    Sparsify,
    default_spare,
    select_by_magnitude,
    selector,
    selector_names,
)
from accel.prune.selectors.particle_filter import STARTS
from accel.pruned import Groups, PrunedNetwork
from reports.commands.options import (
    CHECKPOINTS,
    OUT,
    batch_size_option,
    best_epoch_option,
    bfloat16_option,
    data_options,
    jobs_option,
    json_option,
    learning_rate_option,
    log_dir_option,
    metric_option,
    network_argument,
    number_option,
    option,
    teacher_option,
    train_threads_option,
)
from reports.commands.places import Command
from reports.commands.prune_request import Request, check_options
from reports.shared import console as shared_console
from reports.shared import notes, output, resuming
from reports.shared.progress import Bar, bar
from reports.workflow import retrain as retraining
from reports.workflow.evaluate import float_error_rate
from reports.workflow.prune import following, parse_ratios, prune, stages
from reports.workflow.retrain import Trainer
from reports.workflow.selection import FROM_MAGNITUDE, Selection, kept_weights
from reports.workflow.sources import Source, check_range, source_if_any, source_of
from reports.workflow.training_log import opened_log
from reports.workflow.work_folder import open_work

if TYPE_CHECKING:
    from accel.train import Recipe


@dataclass
class Work:
    """A request with everything loaded and checked, and what was seen while it was done."""

    request: Request
    dense: PrunedNetwork
    images: dict[str, Dataset]
    ratios: dict[str, Ratio]
    spare: tuple[str, ...]
    fit: Trainer | None
    sparsify: Sparsify | None
    unretrained: list[PrunedNetwork] = field(default_factory=list)  # after each round, before its retraining


@click.command("prune", cls=Command)
@network_argument
@option(
    "--pattern", required=True, help="Pattern to prune to: kernel, feature-map+kernel, kernel/block-4 (CONV/FC), ..."
)
@option(
    "--ratio",
    help="Share of each layer that goes: 0.7, or LAYER=0.5,LAYER=0.8, or PART=0.5,PART=0.7; or all=0.9, of all "
    "weights, the weakest of whichever layers.",
)
@option(
    "--select",
    default="magnitude",
    show_default=True,
    help="How it is chosen what goes: particle-filter, best-of-n, activation-sum, random, or a package's own.",
)
@option("--start", default="random", show_default=True, help="Where a particle filter starts: random or magnitude.")
@number_option("--budget", 100, "Evaluations that a search for masks may take.")
@number_option("--validation-images", 1000, "How many validation images a search for masks sees.")
@option(
    "--spare",
    multiple=True,
    help="Layer to leave dense, repeatable; the first convolution and the last layer by default.",
)
@number_option("--rounds", 1, "How many times to prune and retrain.")
@option(
    "--steps",
    default="geometric",
    show_default=True,
    help="How ratios grow from round to round: geometric, linear or cubic.",
)
@number_option("--retrain", 0, "Epochs of retraining after each round (PyTorch).", least=0)
@option(
    "--gradual",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Choose anew before each epoch of retraining what goes, more and more, until this share of the epochs, such "
    "as 0.6; what went may come back until then.",
)
@number_option("--sparsify", 0, "Epochs of training with a group lasso before each selection (PyTorch).", least=0)
@option("--group-lasso", type=click.FloatRange(0), default=0.1, show_default=True, help="Strength of the group lasso.")
@learning_rate_option
@batch_size_option
@teacher_option
@best_epoch_option
@bfloat16_option
@log_dir_option
@option("--checkpoint", type=CHECKPOINTS, help="Folder of checkpoints to stop and resume with.")
@number_option("--seed", 0, "Seed of the search and of retraining.", least=0)
@train_threads_option
@metric_option
@jobs_option
@option("--out", "-o", type=OUT, required=True, help="The pruned network to write.")
@json_option
@data_options
def command(**arguments: Any) -> None:
    """Prune a dense network, retrain it, and say what that did to its error rate.

    Masks are chosen by validation images; test images are for the last number only.

    Example: espalier prune lenet5 --pattern kernel --ratio 0.7 --select particle-filter --retrain 5 -o out.espalier
    """
    request = Request(**arguments)
    with threadpool_limits(request.jobs):  # a training has those of its recipe
        work = _checked(request)
        pruned = _pruned(work)
        record = _record(work, pruned)
    with output.writing(request.out):
        pruned.save(request.out)
    if request.json_file:
        output.write_json(request.json_file, record)
    _print(work, pruned, record)


def _checked(request: Request) -> Work:
    """Return the work that a request means; everything that can be wrong with it is found here, if it can be."""
    check_choice("selector", request.select, selector_names())
    check_choice("start of a particle filter", request.start, STARTS)
    ratios = parse_ratios(request.ratio, request.pattern)
    if not stages(request.pattern) and not request.retrain:
        raise EspalierError(f"--pattern {request.pattern}: prunes nothing; with --retrain it is retrained alone")
    check_options(request)
    dense = zoo.load(request.network)
    names = [layer.name for layer in dense.network.weighted]
    for ratio in ratios.values():
        for name in ratio if not isinstance(ratio, float) else ():
            check_choice(f"layer of {dense.network.name}", name, names)
    for name in request.spare:
        check_choice(f"layer of {dense.network.name}", name, names)
    source = _source(request, dense)
    images = {} if source is None else _images(request, source)
    if source is not None:
        check_range(images["validation"], dense, request.network)
        dense = replace(dense, data=source.name, input_range=images["validation"].range if source.own else None)
    output.check_place(request.out, request.json_file)
    spare = request.spare or default_spare(dense.network)
    work = Work(request, dense, images, ratios, spare, None, None)
    log = opened_log(request.log_dir, images["validation"]) if request.log_dir else None
    if request.retrain:
        teacher = retraining.teacher(request.teacher, dense.network)
        more: dict[str, Any] = {
            "teacher": teacher,
            "log": log,
            "validation": images["validation"] if request.best_epoch else None,
        }
        work.fit = retraining.trainer(_recipe(work), images["train"], request.checkpoint, **more)
    if request.sparsify:
        shrinking = retraining.sparsifying(_recipe(work), request.sparsify, request.group_lasso)
        work.sparsify = retraining.trainer(shrinking, images["train"], request.checkpoint, log=log)
    return work


def _source(request: Request, dense: PrunedNetwork) -> Source | None:
    """Return where the images are; None where there are none and magnitude, which needs none, prunes alone."""
    where = request.network, dense, request.data, request.data_dir
    if request.select != Magnitude.name or request.training:
        return source_of(*where, metric=request.metric)
    source = source_if_any(*where, metric=request.metric)
    if source is None:
        notes.say(f"{request.network}: without images (--data) no error rate is measured")
    return source


def _images(request: Request, source: Source) -> dict[str, Dataset]:
    images = {split: source.load(split) for split in SPLITS if split != "train" or request.training}
    images["search"] = images["validation"].take(min(request.validation_images, len(images["validation"])))
    return images


def _pruned(work: Work) -> PrunedNetwork:
    request = work.request
    if request.checkpoint:
        _open(request.checkpoint, request, work.images)
        resuming.same_command()
    elif request.training or selector(request.select).searches:
        resuming.with_option("--checkpoint FOLDER")
    name = FROM_MAGNITUDE if request.start == "magnitude" else request.select
    rng = np.random.default_rng(request.seed)
    selection = None
    if work.images:
        selection = Selection(name, work.images["search"], rng, request.budget, request.checkpoint)

    if request.gradual is not None:
        return _followed(work, request.gradual)
    with ExitStack() as shown:  # the bar of one search is gone when the next one, or a training, begins

        def listener() -> Any:
            shown.close()
            if selection is None or not selection.searches:
                return None
            line = shown.enter_context(bar(f"{work.dense.network.name}, {name}", request.budget))
            return lambda at: _advance(line, at)

        def retrain(pruned: PrunedNetwork) -> PrunedNetwork:
            shown.close()
            work.unretrained.append(pruned)
            return work.fit(pruned) if work.fit else pruned

        def sparsify(pruned: PrunedNetwork, groups: Groups) -> PrunedNetwork:
            shown.close()
            return work.sparsify(pruned, groups) if work.sparsify else pruned

        choose = select_by_magnitude if selection is None else selection.chooser(listener)
        schedule: dict[str, Any] = {"rounds": request.rounds, "steps": request.steps, "spare": work.spare}
        schedule["sparsify"] = sparsify if work.sparsify else None
        return prune(work.dense, request.pattern, work.ratios, retrain, choose=choose, **schedule)


def _followed(work: Work, frozen: float) -> PrunedNetwork:
    """Return the network trained while its masks follow its weights."""
    from accel.train import Gradual

    assert work.fit is not None  # as was checked
    request = work.request
    start, masks = following(work.dense, request.pattern, work.ratios, work.spare)
    work.unretrained.append(replace(start, masks=masks(start.network, 1.0), pattern=request.pattern))
    what = f"{request.pattern}, {request.ratio}, all but {', '.join(work.spare)}"
    return replace(work.fit(start, gradual=Gradual(masks, what, frozen)), pattern=request.pattern)


def _open(folder: Path, request: Request, images: dict[str, Dataset]) -> None:
    """Make the folder of checkpoints, or see to it that it is of this run: searches do not know their images."""
    free = ("out", "json_file", "checkpoint", "jobs", "data_dir", "log_dir")
    splits = (images[name] for name in sorted(images) if name != "search")  # that is a part of another
    open_work(folder, {name: value for name, value in vars(request).items() if name not in free}, splits)


def _advance(line: Bar, at: Progress) -> None:
    line.advance(f"lowest error {at.best:.2%}")


def _recipe(work: Work) -> "Recipe":
    """Return the way to train: the zoo's recipe, changed as the request says."""
    request = work.request
    changes: dict[str, Any] = {
        "learning_rate": request.learning_rate,
        "batch_size": request.batch_size,
        "seed": request.seed,
        "best": request.best_epoch,
        "bfloat16": request.bfloat16,
        "metric": request.metric,
    }
    changes["threads"] = request.train_threads
    epochs, taught = max(1, request.retrain), request.teacher is not None
    return retraining.recipe(work.dense.network.name, epochs, taught=taught, **changes)


def _record(work: Work, pruned: PrunedNetwork) -> dict[str, Any]:
    """Return what there is to say, as plain numbers."""
    request, images = work.request, work.images
    versions = {"dense": work.dense, "pruned": work.unretrained[-1]}
    if request.retrain:
        versions["retrained"] = pruned
    return {
        "network": pruned.network.name,
        "data": work.dense.data,
        "pattern": pruned.pattern,
        "selector": request.select,
        "seed": request.seed,
        "budget": request.budget if selector(request.select).searches else 0,
        "selection_images": len(images["search"]) if images else 0,
        "retrained_epochs": request.retrain,
        "sparsified_epochs": request.sparsify,
        "sparsity": pruned.sparsity,
        "layers": {name: {"kept": kept, "weights": all_} for name, (kept, all_) in kept_weights(pruned).items()},
        "error_rates": {
            split: {name: float_error_rate(version, images[split]) for name, version in versions.items()}
            for split in ("validation", "test")
            if images
        },
        "out": str(request.out),
    }


def _print(work: Work, pruned: PrunedNetwork, record: dict[str, Any]) -> None:
    table = Table(title=f"{record['network']}, {record['pattern']}, by {record['selector']}: weights kept")
    for name in ("layer", "pattern"):
        table.add_column(name)
    for name in ("kept", "of", "gone"):
        table.add_column(name, justify="right")
    for name, row in record["layers"].items():
        pattern = pruned.layer_mask(name).pattern
        narrower = pattern == zoo.DENSE and row["kept"] < row["weights"]
        gone = f"{1 - row['kept'] / row['weights']:.1%}"
        table.add_row(name, "narrower" if narrower else pattern, f"{row['kept']:,}", f"{row['weights']:,}", gone)
    table.add_section()
    kept, all_ = pruned.kept_weights, sum(pruned.dense_weights.values())
    table.add_row("all", "", f"{kept:,}", f"{all_:,}", f"{pruned.sparsity:.1%}")
    console = shared_console.console()
    console.print(table)
    for split, rates in record["error_rates"].items():
        told = ", ".join(_told(rates))
        console.print(f"Error rate on {len(work.images[split]):,} {split} images: {told}.")
    console.print(f"Written to {work.request.out}.")


def _told(rates: dict[str, float]) -> Iterable[str]:
    words = {"dense": "before pruning", "pruned": "after pruning", "retrained": "after retraining"}
    return (f"{rate:.2%} {words[name]}" for name, rate in rates.items())

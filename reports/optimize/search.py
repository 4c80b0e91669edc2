"""The search: mixes trained longer and longer, the better ones each time, and what is left in fewer and fewer bits.

Mixes are trained briefly, the cheapest of those whose error promises enough go on, and are trained anew for longer
(successive halving; Jamieson and Talwalkar, arXiv 1502.07943). How much error a short training excuses is seen in the
dense network trained as long: what that network has then beyond what it began with. Widths are allocated to what is
left for a loss that retraining may win back, and each allocation is retrained as its Program computes.

Everything that is trained or allocated lies in a folder of work, under a name that says what it is of, so that a search
that was stopped goes on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel.array import MacArray
from accel.cost import total_cycles
from accel.demand import array_for
from accel.digest import digest_of
from accel.files import write_whole
from accel.interchange.zoo import DENSE
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Operand, Steps, Widths, bits_of, ordered_for, widths_with
from reports.optimize.mixes import Mix
from reports.optimize.results import Trained, Version
from reports.optimize.wish import Wish
from reports.workflow import retrain as retraining
from reports.workflow.evaluate import float_error_rate
from reports.workflow.prune import following_layers
from reports.workflow.quantize import Workbench, allocated, retrained

if TYPE_CHECKING:
    from accel.train import Recipe

RUNGS = ((8, 3), (3, 2), (1, 2))  # (by how much shorter the trainings are, how many mixes go on)
EXCUSED = 0.01  # of the error rate, beside what the dense network has too much after a short training
LOSSES = (0.005, 0.03)  # of the error rate, that widths may cost before they are retrained
QUANTIZED = 2  # by how much shorter the retraining of a Program is
FEWEST = 2  # epochs in which masks can follow weights
WIDEST = Widths(8, 8)
NARROWEST = 3  # bits of all weights that are tried to fit into a memory
JUDGED = 2000  # images by which widths are allocated
EVALUATIONS = 120  # of an allocation


@dataclass(frozen=True, eq=False)
class Search:
    """The search for what is asked for.

    Parameters
    ----------
    wish : Wish
    limit : float
        The highest error rate on validation images.
    """

    wish: Wish
    limit: float

    def finalists(self, mixes: Sequence[Mix]) -> tuple[list[tuple[Mix, PrunedNetwork]], list[Trained]]:
        """Return the mixes that are left after all rungs, trained, the cheaper first; and what was seen on the way."""
        seen: list[Trained] = []
        left, longest = [*mixes], max(FEWEST, self.wish.epochs)
        # where few epochs make two rungs alike, the later one decides
        rungs = {max(FEWEST, self.wish.epochs // shorter): count for shorter, count in RUNGS}
        for epochs, count in rungs.items():
            rates = {mix.name: self.error_rate(self.trained(mix, epochs)) for mix in left}
            allowed = self.limit + self._excused(epochs)
            # those within what is excused, the cheapest first; then those that are least beyond it
            order = sorted(left, key=lambda mix: (max(0.0, rates[mix.name] - allowed), mix.cost))
            for place, mix in enumerate(order):
                seen.append(Trained(mix=mix.name, epochs=epochs, error_rate=rates[mix.name], kept=place < count))
            left = order[:count]
        return [(mix, self.trained(mix, longest)) for mix in sorted(left, key=lambda mix: mix.cost)], seen

    def _excused(self, epochs: int) -> float:
        """Return how much error a training of so many epochs excuses."""
        control = self.error_rate(self.trained(Mix({}, 0), epochs))
        return max(0.0, control - self.error_rate(self.wish.dense)) + EXCUSED

    def versions(self, mix: Mix, network: PrunedNetwork) -> list[tuple[Version, Program, PrunedNetwork]]:
        """Return the Programs of a network that was trained: in 8 bits, in what fits, and in widths of each layer."""
        steps = Steps(per_output=True)
        calibration = Calibration(network, self.wish.images["calibration"].pixels(), steps)
        judged = self.wish.images["validation"]
        bench = Workbench(calibration, judged)
        found = [(self._judged(bench, mix, bench.lowered(WIDEST), 0), network)]
        if not self._fits(found[0][0][1]) and (fitting := self._fitting(bench)):
            found.append((self._judged(bench, mix, bench.lowered(fitting), 0), network))
            if found[-1][0][0].error_rate > self.limit:
                program, after = self._retrained(bench, mix, fitting, steps)
                found.append((self._judged(bench, mix, program, self._quantized_epochs), after))
        for loss in LOSSES:
            few = replace(bench, judged=judged.take(min(JUDGED, len(judged))))
            widths = self._allocated(few, mix, loss)
            program, after = self._retrained(bench, mix, widths, steps)
            found.append((self._judged(bench, mix, program, self._quantized_epochs), after))
        return [(version, program, made) for (version, program), made in found]

    def trained(self, mix: Mix, epochs: int) -> PrunedNetwork:
        """Return the network with the masks of a mix, trained for so many epochs from the dense one."""
        path = self._path("network", mix.name, epochs)
        if path.exists():
            return PrunedNetwork.load(path)
        from accel.train import Gradual

        given = self._recipe(epochs), self.wish.images["train"], self.wish.folder, self.wish.dense.network
        fit = retraining.trainer(*given)
        if mix.patterns:
            start, masks = following_layers(self.wish.dense, mix.patterns, mix.ratios)
            made = fit(start, gradual=Gradual(masks, mix.name))
        else:
            made = fit(self.wish.dense)
        labels = sorted(set(mix.patterns.values()))
        made = replace(made, pattern="+".join(labels) if labels else DENSE)
        made.save(path)
        return made

    def error_rate(self, network: PrunedNetwork) -> float:
        """Return a float network's error rate on the validation images."""
        return float_error_rate(network, self.wish.images["validation"])

    def _fitting(self, bench: Workbench) -> Widths | None:
        """Return the widest weights, of all layers alike, with which the memories are within the limit, if any are.

        The array's words are as wide as the widest layer's, and signals as wide as the image: what is narrower
        elsewhere takes no less of what is built.
        """
        widths = (replace(WIDEST, weight_bits=bits) for bits in range(WIDEST.weight_bits - 1, NARROWEST - 1, -1))
        return next((x for x in widths if self._fits(bench.lowered(x))), None)

    def _fits(self, program: Program) -> bool:
        """Return whether the memories that a Program takes are within the limit."""
        _, array = self._placed(program)
        return self.wish.memory_bits is None or array.built_bits <= self.wish.memory_bits

    def _placed(self, program: Program) -> tuple[Program, MacArray]:
        """Return the Program in the order that the lanes like, and the array that is just large enough for it."""
        program = ordered_for(program, self.wish.lanes[0], split=True)
        return program, array_for(program, *self.wish.lanes)

    @property
    def _quantized_epochs(self) -> int:
        return max(1, self.wish.epochs // QUANTIZED)

    def _allocated(self, bench: Workbench, mix: Mix, loss: float) -> Widths:
        path, operands = self._path("widths", mix.name, loss), bench.operands
        if path.exists():
            return _widths_of(json.loads(path.read_text()), operands)
        found = allocated(bench, WIDEST, loss, None, EVALUATIONS, self.wish.images["train"]).widths
        bits = [bits_of(found, operand) for operand in operands]
        write_whole(path, json.dumps(bits).encode())
        return _widths_of(bits, operands)

    def _retrained(self, bench: Workbench, mix: Mix, widths: Widths, steps: Steps) -> tuple[Program, PrunedNetwork]:
        words = said(widths, bench.operands)
        paths = [self._path(what, mix.name, words) for what in ("program", "retrained")]
        if not all(path.exists() for path in paths):
            recipe = self._recipe(self._quantized_epochs, quantized=True, best=True)
            checkpoint = paths[0].with_suffix(".checkpoint")
            given: dict[str, Any] = {"validation": self.wish.images["validation"], "teacher": self.wish.dense.network}
            after, found = retrained(bench, widths, steps, recipe, self.wish.images["train"], checkpoint, **given)
            after.pruned.save(paths[1])
            after.lowered(widths, found).save(paths[0])
        return Program.load(paths[0]), PrunedNetwork.load(paths[1])

    def _judged(self, bench: Workbench, mix: Mix, program: Program, epochs: int) -> tuple[Version, Program]:
        program, array = self._placed(program)
        rate = bench.error_rate(program)
        bits = program_bits(program)
        fits = rate <= self.limit and self._fits(program)
        version = Version(
            mix=mix.name,
            widths=bits,
            error_rate=rate,
            memory_bits=array.built_bits,
            cycles=total_cycles(program, array),
            epochs=epochs,
            fits=fits,
        )
        return version, program

    def _recipe(self, epochs: int, **changes: Any) -> "Recipe":
        name = self.wish.dense.network.name
        changes |= {"seed": self.wish.seed, "schedule": "onecycle"}
        return retraining.recipe(name, epochs, taught=True, bfloat16=self.wish.bfloat16, **changes)

    def _path(self, what: str, *of: object) -> Path:
        return self.wish.folder / f"{what}-{digest_of(*map(str, of))[:16]}.{'json' if what == 'widths' else 'espalier'}"


def said(widths: Widths, operands: Sequence[Operand]) -> str:
    """Return the bits of operands in words."""
    return ", ".join(f"{operand} {bits_of(widths, operand)}" for operand in operands)


def program_bits(program: Program) -> str:
    """Return the bits of a Program's layers in words: of the weights, and of the signals that come out."""
    signals = {layer.name: program.signals[layer.name].bits for layer in program.mac_layers if layer.requantize}
    bits = {
        x.name: f"{x.weight_bits}/{signals[x.name]}" if x.name in signals else x.weight_bits for x in program.mac_layers
    }
    return ", ".join(f"{name} {words}" for name, words in bits.items())


def _widths_of(bits: Sequence[int], operands: Sequence[Operand]) -> Widths:
    return widths_with(dict(zip(operands, bits, strict=True)), 8)

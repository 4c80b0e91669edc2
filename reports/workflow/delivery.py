"""What a recommendation leaves in its folder: the network, the Program, a script that makes both, perhaps RTL."""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accel.demand import array_for
from accel.interchange import zoo
from accel.interchange.data.datasets import NAMES
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import ordered_for
from reports.shared import notes, output
from reports.shared.release import release
from reports.workflow import retrain as retraining
from reports.workflow.layer_bits import OPTION
from reports.workflow.sources import Source

NETWORK, PROGRAM, SCRIPT, RTL = "network.espalier", "program.espalier", "reproduce.sh", "rtl"
FILES = (NETWORK, PROGRAM, SCRIPT)
RTL_IMAGES = 2  # of the testbench, as `espalier rtl` has them
MADE = '"$out/'  # where the script puts things


@dataclass(frozen=True)
class Making:
    """How a version came to be.

    Parameters
    ----------
    network : str
        What it was made of, as the command was given it.
    pattern : str
    ratio : float or None
        Share that went; None for the usual one, or where nothing was pruned here.
    made : bool
        Whether it was pruned, or retrained, here; else it is the file itself or a version of the zoo.
    epochs, trainings : int
        Of each retraining; how many times a dense network was retrained.
    """

    network: str
    pattern: str
    ratio: float | None = None
    made: bool = False
    epochs: int = 0
    trainings: int = 0


@dataclass(frozen=True, eq=False)
class Delivery:
    """A recommended design as files.

    Parameters
    ----------
    making : Making
    network : PrunedNetwork
    program : Program
        As it is lowered; in the order for its lanes.
    bits : (int, int, str)
        Of a weight, of a signal, of single layers (`reports.workflow.layer_bits`).
    lanes : (int, int) or None
        Of the array; None where no array runs it.
    source : Source
        Where the images are.
    data : str or None
        As the command was given it.
    command : str
        That chose it.
    """

    making: Making
    network: PrunedNetwork
    program: Program
    bits: tuple[int, int, str]
    lanes: tuple[int, int] | None
    source: Source
    data: str | None
    command: str

    def files(self) -> dict[str, bytes]:
        """Return the files by name, without RTL."""
        network, program = self.network.to_bytes(), self.program.to_bytes()
        digests = {NETWORK: network, PROGRAM: program}
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in digests.items()}
        return {**digests, SCRIPT: self._script(sums).encode()}

    def rtl(self) -> dict[str, bytes]:
        """Return the files of the hardware, as `espalier rtl` writes them; none where no array runs it."""
        return {} if self.lanes is None else rtl_of([self], self.lanes)

    def _script(self, sums: Mapping[str, str]) -> str:
        given = {"NETWORK": self.making.network} if zoo.is_file(self.making.network) else {}
        if self.data is not None:
            given["DATA"] = self.data
        if not self.source.own and self.source.data_dir is not None:
            given["ESPALIER_DATA"] = self.source.data_dir
        lines = [
            "#!/bin/sh",
            f"# Makes {NETWORK} and {PROGRAM} again, byte for byte: sh {SCRIPT} [FOLDER]",
            f"# Of Espalier {release()}, by: {self.command}",
            "# Run it where that was run, or say where its inputs are: NETWORK=... DATA=... sh reproduce.sh",
            "set -eu",
            *(f"{name}=${{{name}:-{shlex.quote(value)}}}" for name, value in given.items()),
            *(["export ESPALIER_DATA"] if "ESPALIER_DATA" in given else []),
            "out=${1:-reproduced}",
            'mkdir -p "$out"',
            *self._commands(),
            f'echo "{sums[NETWORK]}  $out/{NETWORK}',
            f'{sums[PROGRAM]}  $out/{PROGRAM}" | sha256sum -c -',
        ]
        return "\n".join(lines) + "\n"

    def _commands(self) -> list[str]:
        images = ["--data", '"$DATA"'] if self.data is not None else []
        wide, narrow, layers = self.bits
        lanes = ["--lanes", f"{self.lanes[0]}x{self.lanes[1]}"] if self.lanes else []
        quantize = [
            "espalier",
            "quantize",
            f'{MADE}{NETWORK}"',
            "--weight-bits",
            str(wide),
            "--signal-bits",
            str(narrow),
            *([OPTION, shlex.quote(layers)] if layers else []),
        ]
        commands = [self._network(images), [*quantize, *lanes, *images, "-o", f'{MADE}{PROGRAM}"']]
        if self.lanes:
            array = ["--array", f"{self.lanes[0]}x{self.lanes[1]}"]
            rtl = ["#", "espalier", "rtl", f'{MADE}{PROGRAM}"', *array, *images, "-o", f'{MADE}{RTL}"']
            commands.append(rtl)
        return [" ".join(words) for words in commands]

    def _network(self, images: Sequence[str]) -> list[str]:
        making, out = self.making, f'{MADE}{NETWORK}"'
        name = '"$NETWORK"' if zoo.is_file(making.network) else making.network
        if making.made:
            words = ["espalier", "prune", name, "--pattern", making.pattern]
            words += ["--ratio", f"{making.ratio:g}"] if making.ratio is not None else []
            words += ["--rounds", str(making.trainings)] if making.trainings > 1 else []
            if making.epochs:
                recipe = retraining.recipe(self.network.network.name, making.epochs)
                words += ["--retrain", str(making.epochs), "--seed", str(recipe.seed)]
                words += ["--train-threads", str(recipe.threads)]
            return [*words, *images, "-o", out]
        if zoo.is_file(making.network):
            return ["cp", name, out]
        python = f"import espalier as esp, sys; esp.load('{making.network}', '{making.pattern}').save(sys.argv[1])"
        return ["python3", "-c", f'"{python}"', out]


def delivered(
    making: Making,
    network: PrunedNetwork,
    program: Program,
    bits: tuple[int, int, str],
    lanes: tuple[int, int] | None,
    source: Source,
    data: str | None,
    command: str,
) -> Delivery:
    """Return a design as files: what `espalier prune` and `espalier quantize` say of images is said here too."""
    if making.made:
        validation = source.load("validation")
        network = replace(network, data=source.name, input_range=validation.range if source.own else None)
    program = replace(program, data=source.name)
    ordered = program if lanes is None else ordered_for(program, lanes[0], split=lanes[1] > 1)
    return Delivery(making, network, ordered, bits, lanes, source, data, command)


def rtl_of(deliveries: Sequence[Delivery], lanes: tuple[int, int]) -> dict[str, bytes]:
    """Return the files of the hardware that is just large enough for each of the designs, as `espalier rtl` does."""
    from reports.workflow.hardware import job_of  # the generator takes a second to import
    from rtl.emit import emit

    array, jobs = array_for([one.program for one in deliveries], *lanes), []
    for one in deliveries:
        images = one.source.load("test", labelled=False).take(RTL_IMAGES)
        jobs.append(job_of(one.program, array, one.program.input_signal.encode(images.pixels())))
    return emit(jobs, array)


def next_on_page(lanes: tuple[int, int], data: str) -> str:
    """Return the same command for somebody who is in the folder and has the images, called `data`, somewhere."""
    return next_command("", lanes, None if data in NAMES else data)


def next_command(folder: str, lanes: tuple[int, int], data: str | None) -> str:
    """Return the command that proves the Program of a folder on its array; `folder` ends in / or is empty."""
    return proof([f"{folder}{PROGRAM}"], lanes, [] if data is None else [data])


def proof(programs: Sequence[str], lanes: tuple[int, int], data: Sequence[str]) -> str:
    """Return the command that proves Programs on their array; `data` is of all, of each, or of none said."""
    words = ["espalier", "verify", *programs, "--array", f"{lanes[0]}x{lanes[1]}"]
    return shlex.join([*words, *(word for one in data for word in ("--data", one))])


def write(folder: Path, files: Mapping[str, bytes], delivery: Delivery | None, rtl: bool) -> None:
    """Write results into a folder, with what is recommended; nothing of an earlier recommendation stays beside them.

    The hardware is a folder in it, which is there, whole, before the Program is that it is of.
    """
    more = delivery.files() if delivery else {}
    built = delivery.rtl() if delivery and rtl else {}
    with output.writing(folder):
        for name in FILES if not delivery else ():
            (folder / name).unlink(missing_ok=True)
    if built:
        output.write_folder(folder / RTL, built)
    elif (folder / RTL / "manifest.json").exists():
        notes.say(f"{folder / RTL}: is of an earlier run; --rtl writes it anew")
    output.write_folder(folder, {**files, **more})

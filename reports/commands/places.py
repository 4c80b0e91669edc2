"""Files and folders on the command line: what a command reads and what it writes, so that neither destroys the other.

Every parameter that names one has a `Place` as its type, and every command is a `Command`, which looks at all of them
before it begins.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import click
from click.shell_completion import CompletionItem

from accel.errors import EspalierError
from reports.commands.help_text import Explained
from reports.shared import notes, output, wordiness

FIGURES = ("*.svg", "*.png")
_LEVEL = "espalier.wordiness"
DATA_SETS = ("mnist/*", "fashion-mnist/*", "cifar-10-batches-bin/*")


class Place(click.Path):
    """The type of a parameter that names a file or a folder.

    Parameters
    ----------
    writes : bool
        Whether the command writes it; else it reads it.
    holds : sequence of str
        Patterns of the files that are written into the folder, or read from it; none if it is no folder.
    may_be_name : bool
        Whether the text may be a name of the zoo or a technology instead; then it stays text.
    sidecar : bool
        Whether a sidecar lies beside an ONNX file of that name.
    stream : bool
        Whether ``-`` is standard output.
    names : function, optional
        That gives the names that the text may be, for the Tab key.
    settings
        Of `click.Path`.
    """

    def __init__(
        self,
        writes: bool = False,
        holds: Sequence[str] = (),
        may_be_name: bool = False,
        sidecar: bool = False,
        stream: bool = False,
        names: Callable[[], Iterable[str]] = tuple,
        **settings: Any,
    ) -> None:
        super().__init__(path_type=str if may_be_name else Path, **{"dir_okay": bool(holds), **settings})
        self.writes, self.holds, self.may_be_name, self.sidecar = writes, tuple(holds), may_be_name, sidecar
        self.stream, self.names = stream, names
        if may_be_name:
            self.name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or the text where it may be a name."""
        if not value:
            self.fail(f"is empty; expected the name of a {'folder' if self.holds else 'file'}", param, ctx)
        return value if self.may_be_name else super().convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so, then what a shell finds on the disk."""
        found = [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")]


class Word(click.ParamType):
    """Text that is one of some words, which the Tab key completes; it is checked where the words mean something.

    Parameters
    ----------
    words : function
        That gives them: nothing is imported for words that nobody asks for.
    """

    name = "text"

    def __init__(self, words: Callable[[], Iterable[str]]) -> None:
        self.words = words

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the words that begin so."""
        return [CompletionItem(word) for word in self.words() if word.startswith(incomplete)]


@dataclass(frozen=True)
class Claim:
    """A file or folder that a parameter names."""

    label: str
    path: Path
    place: Place

    def files(self) -> Iterator[Path]:
        """Yield the files that the command reads or writes by their names."""
        if not self.place.holds:
            yield self.path
            if self.place.sidecar and self.path.suffix == ".onnx":
                yield from self._sidecar()

    def _sidecar(self) -> Iterator[Path]:
        from accel.interchange.onnx import sidecar

        beside = sidecar.place(self.path)
        if self.place.writes or sidecar.is_one(beside):
            yield beside

    def has(self, file: Path) -> bool:
        """Return whether `file` is one of these, or of the folder's."""
        return any(_same(file, own) for own in (self.path, *self.files(), *self._inside(file)))

    def _inside(self, file: Path) -> Iterator[Path]:
        """Yield what the folder holds that may be `file`: what has its name, and all else if that has several names."""
        folder, real = Path(os.path.realpath(self.path)), Path(os.path.realpath(file))
        if real.is_relative_to(folder) and any(_matches(real.relative_to(folder), x) for x in self.place.holds):
            yield file
        if file.is_file() and file.stat().st_nlink > 1:
            for pattern in self.place.holds:
                yield from folder.glob(pattern)


def check(claims: Sequence[Claim]) -> None:
    """Refuse what a command would write over what it reads, or over what else it writes.

    Raises
    ------
    EspalierError
        Two parameters mean the same file, also if links give it two names.
    """
    for number, one in enumerate(claims):
        for other in claims[:number]:
            written, kept = (one, other) if one.place.writes else (other, one)
            if written.place.writes and (file := _common(written, kept)):
                doing = "writes" if kept.place.writes else "reads"
                raise EspalierError(
                    f"{written.label} {written.path}: would replace {file}, which {kept.label} {doing}; name another"
                )


def _common(written: Claim, kept: Claim) -> Path | None:
    for file in (*kept.files(), *written.files()):
        if written.has(file) and kept.has(file) and (kept.place.writes or file.exists()):
            return file
    return None


def _matches(path: PurePath, pattern: str) -> bool:
    return len(path.parts) == len(PurePath(pattern).parts) and path.match(pattern)


def _same(one: Path, other: Path) -> bool:
    """Return whether two paths mean one file; what is written to and stays, as /dev/null, is none."""
    try:
        there = one.stat(), other.stat()
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
    return os.path.samestat(*there) and stat.S_ISREG(there[0].st_mode)


def _level(ctx: click.Context, parameter: click.Parameter, given: bool) -> None:
    """Keep how much is to be said."""
    level = wordiness.QUIET if parameter.name == "quiet" else wordiness.VERBOSE
    if given and ctx.meta.setdefault(_LEVEL, level) != level:
        raise EspalierError("--quiet and --verbose: only one of them can be")


def _wordiness_options() -> list[click.Parameter]:
    quiet, verbose = "Say nothing but results and errors.", "Say of every step when it is done."
    shared: dict[str, Any] = {"is_flag": True, "expose_value": False, "callback": _level}
    return [
        click.Option(["-q", "--quiet"], help=quiet, **shared),
        click.Option(["-v", "--verbose"], help=verbose, **shared),
    ]


class Command(Explained):
    """A command that begins only if what it writes is neither what it reads nor written twice."""

    def __init__(self, *words: Any, **settings: Any) -> None:
        super().__init__(*words, **settings)
        self.params += _wordiness_options()

    def invoke(self, ctx: click.Context) -> Any:
        """Check the places, then run, saying as much as is wanted."""
        with wordiness.wordy(ctx.meta.get(_LEVEL, wordiness.USUAL)):
            return self._invoked(ctx)

    def _invoked(self, ctx: click.Context) -> Any:
        claims = list(_claims(self.params, ctx.params))
        streams = [claim.label for claim in claims if claim.place.stream and claim.path == output.STANDARD]
        if len(streams) > 1:
            raise EspalierError(f"{' and '.join(streams)}: only one of them can be standard output")
        check([claim for claim in claims if claim.label not in streams])
        notes.drop()
        with output.numbers_alone() if streams else contextlib.nullcontext():
            result = super().invoke(ctx)
            notes.tell()
            return result


class Interruption(BaseException):
    """Ctrl-C while a command runs; for KeyboardInterrupt itself click prints an empty line."""


class Group(Explained, click.Group):
    """Commands that check what they read and write."""

    command_class = Command
    group_class = type

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Interruption from stop


def _claims(parameters: Iterable[click.Parameter], values: Mapping[str, Any]) -> Iterator[Claim]:
    for parameter in parameters:
        place, value = parameter.type, values.get(parameter.name or "")
        if not isinstance(place, Place) or value is None:
            continue
        label = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
        for one in value if isinstance(value, tuple) else (value,):
            yield Claim(label, Path(one), place)

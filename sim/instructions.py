"""Which kernel runs packed layers on this processor, and why."""

from dataclasses import dataclass

from accel.errors import EspalierError
from sim.kernels import dots

KERNELS: dict[str, dots.Kind] = {
    "avx512-vnni": dots.Avx512Vnni,
    "avx-vnni": dots.AvxVnni,
    "avx2": dots.Avx2,
    "portable": dots.Portable,
}
"""By name, the fastest first. All give the same codes."""


@dataclass(frozen=True)
class Choice:
    """A kernel by name, what `sim.kernels.dots` calls it, and why it was taken."""

    name: str
    kernel: dots.Kind
    reason: str


def available() -> list[str]:
    """Return the kernels that this processor can run, the fastest first."""
    return [name for name, kernel in KERNELS.items() if not dots.missing(kernel)]


def choose(name: str | None = None) -> Choice:
    """Return the fastest kernel, or the one called `name`.

    Raises
    ------
    EspalierError
        There is no such kernel, or this processor cannot run it.
    """
    if name is None:
        fastest = available()[0]
        return Choice(fastest, KERNELS[fastest], _why_fastest(fastest))
    if name not in KERNELS:
        raise EspalierError(f"unknown kernel {name!r}: expected one of {', '.join(KERNELS)}")
    if lacking := dots.missing(KERNELS[name]):
        raise EspalierError(f"the kernel {name} needs {', '.join(lacking)}, which this processor has not")
    return Choice(name, KERNELS[name], "it was asked for")


def _why_fastest(name: str) -> str:
    """Return why the kernels before `name` were passed over, and `name` was not."""
    lacking = [f"no {dots.missing(KERNELS[faster])[0]}" for faster in list(KERNELS)[: list(KERNELS).index(name)]]
    has = [f"{feature}" for feature in dots.NEEDS[KERNELS[name]]]
    said = [f"the processor has {', '.join(has)}"] if has else ["it runs anywhere"]
    return "; ".join([*said, *lacking])

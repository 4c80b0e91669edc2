"""The study of `espalier optimize`: its page, its folders, and uniform Programs on the same array."""

from dataclasses import replace

from support.fuzz_kept import STUDIES

from accel.cost import total_cycles
from accel.demand import array_for
from accel.program import Program
from accel.quantize import ordered_for
from reports.optimize.results import Asked, Results, Version
from reports.studies.optimize.page import name_of, page
from reports.studies.optimize.uniform import Uniform, uniform

KIB = 8192


def version(error: float, memory: int, cycles: int, fits: bool) -> Version:
    """Return a Program that a search made."""
    return Version(
        mix="conv2 kernel 0.5",
        widths="conv1 4/4",
        error_rate=error,
        memory_bits=memory * KIB,
        cycles=cycles,
        epochs=2,
        fits=fits,
    )


def results(*versions: Version, chosen: int | None) -> Results:
    """Return the results of a search."""
    asked = Asked(
        network="mine", data="pictures", array="8x8", patterns=("kernel",), goal="fast", max_error="+1%", limit=0.02,
        memory_bits=64 * KIB, epochs=4, seed=0, dense_error_rate=0.01, dense_cycles=1000, dense_memory_bits=100 * KIB,
        validation_images=500,
    )  # fmt: skip
    rates = {"dense": 0.011} | ({} if chosen is None else {"chosen": 0.016})
    return Results(asked=asked, trained=(), versions=versions, chosen=chosen, test_images=900, test_error_rates=rates)


def alike(name: str, validation: float, memory: int, cycles: int) -> Uniform:
    """Return a uniform Program."""
    return Uniform(name, {"validation": validation, "test": 0.03}, memory * KIB, cycles)


UNIFORM = [alike("a", 0.014, 80, 700), alike("b", 0.015, 60, 900), alike("c", 0.03, 50, 300)]


def test_the_page() -> None:
    """It counts the uniform Programs that are as good, small or slow, and has all in one table."""
    best, beyond = version(0.015, 32, 500, fits=True), version(0.03, 16, 400, fits=False)
    text = page(results(best, beyond, chosen=0), UNIFORM)
    assert text.startswith(
        "# Pruned and quantised at once: mine in 64KiB on 8x8 lanes\n\n    espalier optimize mine --"
    )
    assert "Of 3 uniform Programs 2 err as little as asked for on validation images, and 1 of these are within" in text
    assert "2 err no more than what was chosen, of which 2 take more memory and more cycles than it" in text
    assert "| conv2 kernel 0.5; conv1 4/4 | 1.50 % | 1.60 % | 500 | 32.00 | chosen |" in text
    assert "| conv2 kernel 0.5; conv1 4/4 | 3.00 % |  | 400 | 16.00 | beyond a limit |" in text
    assert "| uniform: c | 3.00 % | 3.00 % | 300 | 50.00 |  |" in text
    slow = replace(best, cycles=800)
    assert "of which 1 take more memory and more cycles" in page(results(slow, chosen=0), UNIFORM)


def test_nothing_fits() -> None:
    """Then nothing is beside the uniform Programs."""
    text = page(results(version(0.03, 16, 400, fits=False), chosen=None), UNIFORM)
    assert "Nothing that was tried is within the limits" in text
    assert "no more than what was chosen" not in text
    assert name_of(results(chosen=None).asked) == "mine-64KiB"


def test_uniform_programs() -> None:
    """Memory and cycles are of the array that is just large enough; the fewest errors come first."""
    found = uniform("lenet5", "8x8")
    rates = [x.error_rates["validation"] for x in found]
    assert len(found) > 1
    assert rates == sorted(rates)
    (one,) = [x for x in found if x.name == "irregular, 3 bits"]
    path = STUDIES / "trained" / "networks" / "lenet5-0-irregular-95-3-4bits-everywhere.espalier"
    program = ordered_for(Program.load(path), 8, split=True)
    array = array_for(program, 8, 8)
    assert (one.memory_bits, one.cycles) == (array.built_bits, total_cycles(program, array))

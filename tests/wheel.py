"""What a wheel must hold and must not.

    python tests/wheel.py dist/*.whl

prints a line for each thing that is wrong, and fails if there is any.
"""

import fnmatch
import sys
from pathlib import Path
from zipfile import ZipFile

MOST_BYTES = 3_450_000
PACKAGES = ("espalier/", "accel/", "sim/", "rtl/", "reports/", "espalier_hw-")
NEEDED = (
    "espalier/py.typed",
    "accel/cost/technologies.toml",
    "accel/cost/drams.toml",
    "accel/cost/predictor.json",
    "accel/interchange/*digits.npz",
    "accel/interchange/*DIGITS_NOTICE.md",
    "accel/interchange/zoo/digits/dense.espalier",
    "accel/interchange/zoo/lenet5/zoo.json",
    "accel/interchange/zoo/cifar-quick/dense.espalier",
    "accel/interchange/zoo/cifar-quick/kernel.espalier",
    "reports/*page.html",
    "reports/*page.js",
    "reports/explore/*.html",
    "rtl/testbench.v",
    "rtl/espalier.vlt",
    "rtl/bus/driver/espalier.c",
    "rtl/bus/driver/espalier.h",
    "rtl/cocotb.mk",
    "rtl/espalier_bench.cocotb",
    "rtl/fpga/ulx3s.lpf",
    "rtl/test_espalier.cocotb",
    "*.dist-info/licenses/LICENSE",
)
UNWANTED = ("*test_*.py", "tests/*", "docs/*", "examples/*", "*/results.json", "*.png", "*.ipynb", "*/README.md")


def problems(wheel: Path) -> list[str]:
    """Return a line for each thing that is wrong with a wheel."""
    with ZipFile(wheel) as file:
        names = file.namelist()
    size = wheel.stat().st_size
    found = [f"{size:,} bytes, at most {MOST_BYTES:,} are allowed"] if size > MOST_BYTES else []
    found += [f"{name}: belongs to no package of ours" for name in names if not name.startswith(PACKAGES)]
    unwanted = {name for pattern in UNWANTED for name in fnmatch.filter(names, pattern)}
    found += [f"{name}: is for the repository alone" for name in sorted(unwanted)]
    return found + [f"{pattern}: is missing" for pattern in NEEDED if not fnmatch.filter(names, pattern)]


if __name__ == "__main__":
    lines = [f"{name}: {line}" for name in sys.argv[1:] for line in problems(Path(name))]
    sys.exit("\n".join(lines) if lines or not sys.argv[1:] else 0)

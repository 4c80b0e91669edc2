"""What a new process pays for its first result: compilation, the first time and from numba's cache, and memory.

Each measurement is a process of its own, because neither time nor memory can be taken back in one that has run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from accel.program import Program
from reports.bench.networks import CALIBRATION_IMAGES, random_images
from reports.bench.results import Start
from sim.engine import compile_program

BATCH = 1000  # images, whose memory is measured
AGAIN = 3  # starts from the cache


def start(program: Program) -> Start:
    """Measure new processes with an empty cache of compiled code, then with what the first of them left there."""
    with tempfile.TemporaryDirectory(prefix="espalier-") as folder:
        file = Path(folder, "program.espalier")
        program.save(file)
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(Path(folder, "cache"))}
        runs = [_process(file, environment) for _ in range(1 + AGAIN)]
    seconds, megabytes = zip(*runs, strict=True)
    return Start(seconds[0], min(seconds[1:]), None if None in megabytes else max(megabytes[1:]))


def _process(file: Path, environment: dict[str, str]) -> tuple[float, float | None]:
    """Return what `main` printed in a process of its own."""
    command = [sys.executable, "-m", __name__, str(file)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    seconds, megabytes = json.loads(done.stdout)
    return seconds, megabytes


def main(file: Path) -> None:
    """Print the seconds until the first few images are through, and the MB that a batch on all processors takes."""
    program = Program.load(file)
    images = random_images(program.input_shape, BATCH)
    before = resident("VmRSS")
    begin = time.thread_time()
    engine = compile_program(program)
    engine.run(images[:CALIBRATION_IMAGES], threads=1)
    seconds = time.thread_time() - begin
    engine.run(images)
    most = resident("VmHWM")
    print(json.dumps([seconds, most - before if most and before else None]))


def resident(key: str) -> float | None:
    """Return MB in memory: now (VmRSS), or the most ever (VmHWM)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{key}:"))
    return int(kilobytes) / 1e3


if __name__ == "__main__":
    main(Path(sys.argv[1]))

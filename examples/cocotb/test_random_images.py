"""Random images on a build of `espalier rtl`, in cocotb, with what golden expects of them.

    espalier rtl network.espalier --array 4x4 --out build
    cp examples/cocotb/test_random_images.py build/
    make -C build TEST=test_random_images PROGRAM=$PWD/network.espalier IMAGES=20

cocotb's Python needs Espalier. RANDOM_SEED (COCOTB_RANDOM_SEED of cocotb 2) draws other images and other stalls.
"""

import os
import random
from pathlib import Path

import cocotb
import numpy as np
from espalier_bench import Bench, Build

import espalier as esp
from rtl.simulate import output_rows, signal_words
from sim import golden


@cocotb.test()
async def random_images(dut):
    """Every word of every image is golden's, whatever the image, with the output held back in half of the cycles."""
    build, program = Build(Path(__file__).parent), esp.Program.load(os.environ["PROGRAM"])
    array, job = esp.MacArray(**build.manifest["array"]), build.manifest["jobs"][0]
    rng, form = np.random.default_rng(random.getrandbits(32)), program.input_signal.format
    shape = int(os.environ.get("IMAGES", "10")), *program.input_shape
    images = rng.integers(form.min_code, form.max_code, shape, endpoint=True)
    outputs = golden.run(program, images)[program.output]
    bench = Bench(dut, build, stall=0.5)
    driver, scoreboard = bench.driver, bench.scoreboard
    await bench.reset()
    await driver.load(build.words("load.hex"))
    for number, image in enumerate(images):
        place = job["places"][number % len(job["places"])]
        driver.give([build.load_word(*word) for word in signal_words(image, array, place)])
    rows = output_rows(program, array)
    for number, output in enumerate(outputs):
        expected = [build.row(output.ravel()[places], last=places is rows[-1]) for places in rows]
        scoreboard.expect(f"image {number}", expected)
        await driver.run(f"image {number}", job["cycles"])
    dut._log.info(f"DONE images {len(images)} rows {scoreboard.rows} errors {scoreboard.errors}")
    scoreboard.check()

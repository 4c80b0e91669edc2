"""A LiteX system with an Espalier accelerator: a VexRiscv loads it, a DMA streams images in, the driver reads scores.

    espalier quantize digits --pattern kernel -o digits.espalier
    espalier rtl digits.espalier --array 4x4 --bus wishbone --out build
    python examples/litex/soc.py digits.espalier build [IMAGES]

LiteX's own simulation runs it, and every score is compared with golden's. `Espalier`, its DMA and `main.c` are what a
system for a board takes.

    pip install "espalier-hw[litex]"
    apt-get install verilator g++ make gcc-riscv64-unknown-elf libevent-dev libjson-c-dev zlib1g-dev
"""

import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from litex.build.generic_platform import Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.build.sim.config import SimConfig
from litex.build.sim.platform import SimFinish
from litex.gen import LiteXModule
from litex.soc.cores.cpu import vexriscv
from litex.soc.cores.dma import WishboneDMAReader
from litex.soc.integration import soc
from litex.soc.integration.builder import Builder
from litex.soc.integration.common import get_mem_data
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect import stream, wishbone
from migen import ClockSignal, Instance, ResetSignal
from migen.genlib.io import CRG

import espalier as esp
from accel.interchange.data import datasets
from sim import golden

HERE = Path(__file__).resolve().parent
REGISTERS = soc.SoCRegion(origin=0x9000_0000, size=0x1000, cached=False)  # where this processor has no cache
HERTZ = int(1e6)  # of the simulated clock
SERIAL = {"source_valid": 1, "source_ready": 1, "source_data": 8, "sink_valid": 1, "sink_ready": 1, "sink_data": 8}
PADS = [
    ("sys_clk", 0, Pins(1)),
    ("serial", 0, *(Subsignal(name, Pins(bits)) for name, bits in SERIAL.items())),
]
GCC = "riscv64-unknown-elf-gcc"


def words():
    """Return a bus of words of 32 bits."""
    return wishbone.Interface(data_width=32, addressing="word")


class Espalier(LiteXModule):
    """The wrapper of a build: `bus` has its registers, `sink` takes images, a word of the system's bus at a time."""

    def __init__(self, platform, build):
        header = (build / "espalier_registers.h").read_text()
        codes, size = (int(re.search(rf"ESPALIER_{name} (\d+)", header)[1]) for name in ("BEAT_CODES", "CODE_BYTES"))
        self.bus = bus = words()
        self.beats = beats = stream.Converter(32, 8 * codes * size)
        self.sink = beats.sink
        self.specials += Instance(
            "espalier_wishbone",
            i_clk_i=ClockSignal("sys"),
            i_rst_i=ResetSignal("sys"),
            i_cyc_i=bus.cyc,
            i_stb_i=bus.stb,
            i_we_i=bus.we,
            i_adr_i=bus.adr[:10],
            i_sel_i=bus.sel,
            i_dat_i=bus.dat_w,
            o_dat_o=bus.dat_r,
            o_ack_o=bus.ack,
            o_err_o=bus.err,
            i_s_axis_tvalid=beats.source.valid,
            o_s_axis_tready=beats.source.ready,
            i_s_axis_tdata=beats.source.data,
            i_s_axis_tlast=beats.source.last,
            i_m_axis_tready=0,  # results are read from their register
        )
        for name in ("espalier_wishbone.v", "espalier.v"):
            platform.add_source(str(build / name))


class System(SoCCore):
    """A VexRiscv, memories, the accelerator, and a DMA that takes images from any memory to it."""

    def __init__(self, build):
        platform = SimPlatform("SIM", PADS)
        self.crg = CRG(platform.request("sys_clk"))
        super().__init__(platform, HERTZ, cpu_type="vexriscv", uart_name="sim", integrated_rom_size=0x20000)
        self.accelerator = Espalier(platform, build)  # called `espalier`, its region would define ESPALIER_SIZE anew
        self.bus.add_slave("accelerator", self.accelerator.bus, REGISTERS)
        self.dma = WishboneDMAReader(words(), endianness="big", with_csr=True)  # bytes in their order
        self.bus.add_master("dma", self.dma.bus)
        self.comb += [self.dma.source.connect(self.accelerator.sink), platform.trace.eq(0)]
        self.sim_finish = SimFinish()


def run(command, folder):
    """Run a tool; show what it said if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def firmware(builder, build, codes, scores):
    """Compile what the processor runs, with the network and the images in it; return the words of the ROM."""
    folder = Path(builder.software_dir, "firmware")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(build / "program0.bin", folder)
    codes.astype(np.int8).tofile(folder / "images.bin")
    processor, generated = Path(vexriscv.__file__).parent, Path(builder.generated_dir).parent
    software = Path(soc.__file__).parents[1] / "software"
    options = ["-Os", "-ffreestanding", "-nostdlib", f"-L{generated}", f"-T{HERE / 'linker.ld'}"]
    options += [f"-I{place}" for place in (build, generated, processor, software / "include", software / "libbase")]
    options += [f"-DIMAGES={len(codes)}", f"-DIMAGE_BYTES={codes[0].size}", f"-DSCORES={scores}"]
    sources = [processor / "crt0.S", HERE / "main.c", build / "espalier.c"]
    run([GCC, *builder.soc.cpu.gcc_flags.split(), *options, *sources, "-lgcc", "-o", "firmware.elf"], folder)
    run(["riscv64-unknown-elf-objcopy", "-O", "binary", "firmware.elf", "firmware.bin"], folder)
    return get_mem_data(str(folder / "firmware.bin"), endianness="little")


def built(build, codes, scores):
    """Write the system beside the build and compile its simulation; return the folder of that."""
    system, config = System(build), SimConfig("sys_clk", HERTZ)
    config.add_module("serial2console", "serial")
    builder = Builder(system, output_dir=str(build / "litex"), compile_software=False)
    system.init_mems = lambda **_: system.init_rom("rom", firmware(builder, build, codes, scores))
    builder.build(sim_config=config, opt_level="O1", jobs=os.cpu_count(), run=False)
    run(["bash", "build_sim.sh"], builder.gateware_dir)
    return builder.gateware_dir


def simulated(folder):
    """Run the simulation until the processor ends it; return the line of each image."""
    return [line for line in run(["obj_dir/Vsim"], folder).splitlines() if re.match(r"-?\d|error", line)]


def of_golden(program_file, images):
    """Return test images of digits in codes, and the scores that golden has for them."""
    program = esp.Program.load(program_file)
    codes = program.input_signal.encode(datasets.load("digits", "test").take(images).pixels())
    return codes, golden.run(program, codes)[program.output].reshape(images, -1)


def check(lines, outputs):
    """Compare what the processor said of each image with what golden has."""
    expected = [" ".join(map(str, scores)) for scores in outputs]
    for image, (line, right) in enumerate(zip(lines, expected, strict=False)):
        print(f"image {image}: {line}")
        if line != right:
            raise SystemExit(f"image {image}: golden has {right}")
    if len(lines) != len(expected):
        raise SystemExit(f"{len(lines)} images came, expected {len(expected)}")
    print(f"{len(expected)} images, all scores equal golden's")


def main(program_file, folder, images="2"):
    """Build a system around a build of `espalier rtl`, let it run test images of digits, compare."""
    if missing := [tool for tool in (GCC, "verilator", "g++", "make") if shutil.which(tool) is None]:
        raise SystemExit(f"not installed: {', '.join(missing)}")
    logging.disable(logging.INFO)  # LiteX tells of every part of a system
    codes, outputs = of_golden(program_file, int(images))
    check(simulated(built(Path(folder).resolve(), codes, outputs.shape[1])), outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])

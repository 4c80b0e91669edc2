"""Synthesis without its tools: the frame works, and what goes wrong is said in one line. The builds are a command."""

import json
from dataclasses import asdict, replace

import pytest
from amaranth.hdl import Shape
from amaranth.sim import Simulator

from accel.array import MacArray
from accel.signal import integer_format
from reports.commands import synth
from rtl import tools
from rtl.core.accelerator import Accelerator
from rtl.fpga import synthesis
from rtl.fpga.synthesis import Frame, synthesize
from rtl.layout import Target

ARRAY = MacArray(2, 2, signal_words=64, weight_words=16, list_entries=8, taps=8, constants=8, layers=2)


def test_the_frame_loads_a_word():
    """A word that was shifted in, highest bit first, is loaded in the cycle in which `shift` falls."""
    inner = Accelerator(ARRAY, [integer_format(8, signed=False)])
    frame = Frame(inner)
    word = {"target": Target.CONSTANTS, "address": 5, "word": 0x2A3}
    bits = inner.layout.load.const(word).as_value().value
    seen = []

    async def bench(ctx):
        ctx.set(frame.shift, 1)
        for place in reversed(range(Shape.cast(inner.layout.load).width)):
            ctx.set(frame.data, bits >> place & 1)
            await ctx.tick()
            seen.append(ctx.get(inner.load.valid))
        ctx.set(frame.shift, 0)
        seen.append(ctx.get(inner.load.valid))
        assert {name: ctx.get(inner.load.payload)[name] for name in word} == word
        await ctx.tick()
        seen.append(ctx.get(inner.load.valid))

    simulator = Simulator(frame)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert sum(seen) == 1
    assert seen[-2] == 1


def test_the_report_is_read(monkeypatch, tmp_path):
    """Counts are nextpnr's, the clock is that of the slowest domain."""
    cells = {"TRELLIS_COMB": 10, "TRELLIS_FF": 20, "MULT18X18D": 3, "DP16KD": 4}
    report = {
        "utilization": {name: {"used": used, "available": 99} for name, used in cells.items()},
        "fmax": {"a": {"achieved": 70.04}, "b": {"achieved": 90.0}},
    }

    class Done:
        returncode, stdout, stderr = 0, "", ""

    def run(command, cwd, **options):
        (cwd / "top.json").write_text(synthesis.json.dumps({"modules": {"top": {"cells": {}, "ports": {}}}}))
        (cwd / "report.json").write_text(synthesis.json.dumps(report))
        return Done

    monkeypatch.setattr(tools, "find", lambda tool, extra: tool)
    monkeypatch.setattr(tools.children, "run", run)
    expected = {"lut": 10, "ff": 20, "dsp": 3, "block_ram": 4, "mhz": 70.0}
    assert asdict(synthesize(ARRAY, tmp_path)) == expected


def test_an_array_and_its_dense_half(monkeypatch, capsys, tmp_path):
    """Both builds are printed, the dense one without lists, and how many more look-up tables lists take."""
    made = []

    def fake(array, folder, formats, seed):
        assert seed == 5
        made.append(array.list_entries)
        return synthesis.Synthesis(1100 if array.list_entries else 1000, 2, 3, 4, 50.0)

    monkeypatch.setattr(synth, "synthesize", fake)
    file = tmp_path / "synth.json"
    words = ["--array", "2x2", "--weight-words", "64", "--list-entries", "32", "--seed", "5", "--json", str(file)]
    synth.command.main(words, standalone_mode=False)
    printed = capsys.readouterr().out
    assert sorted(made) == [0, 32]
    assert "2x2, 8-bit weights, 8-bit signals, sparse: 1,100 LUT" in printed
    assert "lists cost 10.0% more LUT" in printed
    record = json.loads(file.read_text())
    assert (record["format"], record["version"], record["family"], record["placed"]) == (
        "espalier-fpga",
        1,
        "ecp5",
        True,
    )
    assert [(row["build"], row["lut"], row["mhz"]) for row in record["modules"]] == [
        ("sparse", 1100, 50.0),
        ("dense", 1000, 50.0),
    ]


@pytest.mark.slow
def test_a_fingerprint_is_that_of_the_hardware(monkeypatch):
    """It is the same for the same array, another for another one, and another for other scripts or tools."""
    monkeypatch.setattr(synthesis, "find", lambda tool, extra: tool)
    versions = dict.fromkeys(synthesis.TOOLS, "1")
    monkeypatch.setattr(synthesis.metadata, "version", versions.get)
    seen = [synthesis.fingerprint(ARRAY), synthesis.fingerprint(ARRAY), synthesis.fingerprint(replace(ARRAY, taps=16))]
    versions[synthesis.TOOLS[0]] = "2"
    seen.append(synthesis.fingerprint(ARRAY))
    monkeypatch.setattr(synthesis, "SEED", 3)
    seen.append(synthesis.fingerprint(ARRAY))
    assert seen[0] == seen[1]
    assert len(set(seen)) == 4

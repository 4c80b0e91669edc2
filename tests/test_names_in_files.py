"""Names come from files and may hold anything: none ends up as Verilog or as a command of a shell.

HTML: tests/test_reports_report_page.py; C++: tests/test_accel_interchange_hls_header.py; CSV:
tests/test_reports_report_results.py.
"""

import json
import shlex
from dataclasses import replace

import pytest
from support.rtl_proofs import ARRAY, tiny

from reports.explore.request import Request, command_of
from rtl import emit

HOSTILE = 'x"; $system("touch evil"); // */ \n`include "y" \\ $(touch evil) `touch evil`'


def test_verilog(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is emitted has the name of a Program as a string of the manifest and nowhere else."""
    monkeypatch.setattr(emit, "convert", lambda *_: "module espalier; endmodule")
    emit.hardware.cache_clear()
    job = tiny(requantized=True)
    named = replace(job, program=replace(job.program, name=HOSTILE, pattern=HOSTILE, data=HOSTILE))
    try:
        plain, files = (emit.emit([one], ARRAY) for one in (job, named))
    finally:
        emit.hardware.cache_clear()
    differing = [name for name, content in files.items() if content != plain[name]]
    assert differing == ["manifest.json"]
    (told,) = json.loads(files["manifest.json"])["jobs"]
    assert told["program"] == HOSTILE


def test_shell() -> None:
    """The command that a report tells to repeat is one command, whatever the network and its patterns are called."""
    words = shlex.split(command_of(Request(network=HOSTILE, patterns="$(touch evil)")), posix=True)
    assert words[:3] == ["espalier", "explore", HOSTILE]
    assert words[words.index("--pattern") + 1] == "$(touch evil)"

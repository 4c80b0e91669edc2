"""Damaged inputs at volume: ``python tests/fuzz.py --inputs 50000 --seed 1``; see CONTRIBUTING.

Prints how the inputs of each format ended, and those that ended badly; exit status 1 if there is one.
"""

import argparse
import contextlib
import os
import sys

from support import fuzzing

MODULES = tuple(
    f"support.{path.stem}"
    for path in sorted(fuzzing.TESTS.glob("support/fuzz_*.py"))
    if "\nFORMATS_OF" in path.read_text()
)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=50_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the number of the first, to see one again")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--module", action="append", help="only formats of this file, repeatable")
    parser.add_argument("--all", action="store_true", help="print what came of every input")
    words = parser.parse_args()
    rows = []
    indices = range(words.first, words.first + words.inputs)
    with contextlib.suppress(KeyboardInterrupt):  # what was found until then is told
        for row in fuzzing.run_all(words.module or MODULES, words.seed, indices, words.jobs):
            rows.append(row)
            if words.all or row.end in fuzzing.BAD:
                print(f"{row.format}, --first {row.index}: {row.end}: {row.text!r}", flush=True)
            if len(rows) % 1000 == 0:
                print(f"{len(rows)} of {words.inputs}", file=sys.stderr, flush=True)
    print(fuzzing.table(rows))
    return int(any(row.end in fuzzing.BAD for row in rows))


if __name__ == "__main__":
    sys.exit(main())

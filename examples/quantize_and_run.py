"""Quantise a network and run it bit for bit: engine against golden model, MACs counted against the closed form.

python examples/quantize_and_run.py
"""

import numpy as np

import espalier as esp
from sim import golden


def main() -> None:
    """Print the error rate at 3 to 8 bits of weights, each checked in every code of every image."""
    train, test = esp.load_data("digits", "train"), esp.load_data("digits", "test")
    network = esp.load("digits", "ikss")
    for bits in range(3, 9):
        program = esp.lower(network, esp.Widths(weight_bits=bits, signal_bits=6), train.pixels())
        codes = program.input_signal.encode(test.pixels())
        result = esp.compile_program(program).run(codes)
        expected = golden.run(program, codes)[program.output]
        if not np.array_equal(result.codes, expected):
            raise SystemExit(f"{bits} bits: the engine differs from the golden model")
        if sum(result.macs.values()) != esp.cost_of(program).total.macs:
            raise SystemExit(f"{bits} bits: the engine counted other MACs than the cost model")
        wrong = np.mean(result.predictions != test.labels)
        print(
            f"{bits}-bit weights: {wrong:.2%} error, {expected.size:,} scores equal, {sum(result.macs.values()):,} MACs"
        )


if __name__ == "__main__":
    main()

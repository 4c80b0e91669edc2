"""Prune with a particle filter and by magnitude, and compare what they did to the error rate.

    python examples/prune_with_a_selector.py [EVALUATIONS]

Masks are chosen by validation images; test images judge the outcome. Without retraining, so that the
choice is what is seen.
"""

import sys

import numpy as np

import espalier as esp
from accel.prune import Evaluator, chooser


def main(budget: int = 60) -> None:
    """Print the error rate of two ways to choose half of the kernels; a search has `budget` evaluations."""
    validation, test = esp.load_data("digits", "validation"), esp.load_data("digits", "test")
    dense = esp.load("digits", "dense")
    searched = chooser(
        "particle-filter", validation.pixels(), validation.labels, np.random.default_rng(0), budget=budget
    )
    ways = {
        "by magnitude": esp.prune(dense, "kernel", {"kernel": 0.5}),
        "particle filter": esp.prune(dense, "kernel", {"kernel": 0.5}, choose=searched),
    }
    on_validation = Evaluator(dense.network, validation.pixels(), validation.labels)
    on_test = Evaluator(dense.network, test.pixels(), test.labels)
    print(f"{'dense':>16}: {on_validation({}):7.2%} on validation images, {on_test({}):7.2%} on test images")
    for name, pruned in ways.items():
        kept = sum(int(mask.kept.sum()) for mask in pruned.masks.values())
        of = sum(mask.kept.size for mask in pruned.masks.values())
        print(
            f"{name:>16}: {on_validation(pruned.masks):7.2%} on validation images, "
            f"{on_test(pruned.masks):7.2%} on test images, {1 - kept / of:.1%} of the weights of the pruned layers gone"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))

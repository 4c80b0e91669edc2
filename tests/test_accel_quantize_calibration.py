from typing import Any

import numpy as np
import pytest
from networks import chain, images_for, residual

from accel.errors import EspalierError
from accel.network import Network
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Steps, Widths, lower, lower_calibrated, rules, steps_of

WIDTHS = (Widths(4, 4), Widths(3, 5), Widths(4, 4, 6, {"conv2": 3}, {"conv1": 5}), Widths(4, 4))


def same(one: Program, two: Program) -> bool:
    """Return whether two Programs have the same signals, weights and biases."""
    pairs = list(zip(one.mac_layers, two.mac_layers, strict=True))
    arrays = [(getattr(a, name), getattr(b, name)) for a, b in pairs for name in ("weights", "weight_steps", "bias")]
    return one.signals == two.signals and all(np.array_equal(a, b) for a, b in arrays)


@pytest.mark.parametrize("build", [chain, residual])
@pytest.mark.parametrize("steps", [Steps(), Steps(power_of_two=True), Steps(per_output=True), Steps("max")])
def test_one_calibration_for_many_widths(build: Any, steps: Steps) -> None:
    """Whatever was lowered before, each Program is that of `lower`; at other widths it is another."""
    network = build()
    calibration = Calibration(PrunedNetwork(network), images_for(network), steps)
    for widths in WIDTHS:
        expected = lower(PrunedNetwork(network), widths, images_for(network), steps)
        assert same(lower_calibrated(calibration, widths), expected)
    assert not same(lower_calibrated(calibration, WIDTHS[1]), lower_calibrated(calibration, WIDTHS[0]))


def test_each_step_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four weights and three signals: 7 steps for the first widths, 7 for the second, and those are all there are."""
    found: list[tuple[int, int]] = []
    l2_step = rules.l2_step
    monkeypatch.setattr(rules, "l2_step", lambda values, *codes: found.append(codes) or l2_step(values, *codes))
    calibration = Calibration(PrunedNetwork(chain()), images_for(chain()))
    counts = []
    for widths in WIDTHS:
        lower_calibrated(calibration, widths)
        counts.append(len(found))
    # conv2 at 3 bits and conv1's signals at 5 are known from the second
    assert counts == [7, 14, 14, 14]


def test_images_are_run_once_and_only_where_a_step_is_to_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One forward pass for all widths; none where all steps of signals are given."""
    runs: list[str] = []
    forward = Network.forward
    monkeypatch.setattr(Network, "forward", lambda self, images: runs.append(self.name) or forward(self, images))
    calibration = Calibration(PrunedNetwork(chain()), images_for(chain()))
    assert runs == []
    programs = [lower_calibrated(calibration, widths) for widths in WIDTHS]
    assert runs == ["chain"]
    signals = {group.layer: float(step[0]) for group, step in steps_of(programs[0]).items() if group.kind == "signals"}
    assert same(lower(PrunedNetwork(chain()), WIDTHS[0], images_for(chain()), Steps(signals=signals)), programs[0])
    assert runs == ["chain"]


def test_images_must_fit() -> None:
    """Before anything is lowered."""
    with pytest.raises(
        EspalierError, match=r"^chain: calibration images must be \(images, 2, 8, 8\), got \(3, 2, 8, 7\)$"
    ):
        Calibration(PrunedNetwork(chain()), np.zeros((3, 2, 8, 7), np.float32))

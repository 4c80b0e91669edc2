from typing import Any

import numpy as np
import pytest
from support.networks import chain, images_for, residual

from accel import archive
from accel.errors import EspalierError
from accel.fixedpoint import Rounding
from accel.network import Network
from accel.program import KIND, Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Steps, Widths, lower, lower_calibrated, steps_of
from accel.quantize import calibration as calibration_module
from accel.quantize import steps as rules

WIDTHS = (Widths(4, 4), Widths(3, 5), Widths(4, 4, 6, {"conv2": 3}, {"conv1": 5}), Widths(4, 4))


def same(one: Program, two: Program) -> bool:
    """Return whether two Programs are the same file."""
    return archive.dump(KIND, one) == archive.dump(KIND, two)


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


def test_a_layer_is_made_once() -> None:
    """One that has the same bits and reads the same signal is the same object; the reader of another one is not."""
    calibration = Calibration(PrunedNetwork(chain()), images_for(chain()))
    one = lower_calibrated(calibration, Widths(4, 4))
    two = lower_calibrated(calibration, Widths(4, 4, signal_bits_of={"conv2": 5}))
    shared = [a is b for a, b in zip(one.mac_layers, two.mac_layers, strict=True)]
    assert [x.name for x in one.mac_layers] == ["conv1", "conv2", "fc3", "fc4"]
    assert shared == [True, False, False, True]  # conv2 gives, and fc3 reads, the signal of 5 bits
    rounded = lower_calibrated(calibration, Widths(4, 4), rounding=Rounding.TRN)
    assert rounded.mac_layers[0] is not one.mac_layers[0]


def test_so_many_layers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were not asked for longest go first, and are made again."""
    monkeypatch.setattr(calibration_module, "REMEMBERED", 4)
    calibration = Calibration(PrunedNetwork(chain()), images_for(chain()))
    one, again = (lower_calibrated(calibration, Widths(4, 4)) for _ in range(2))
    assert one.mac_layers == again.mac_layers  # the objects, which compare by identity
    lower_calibrated(calibration, Widths(5, 5))
    late = lower_calibrated(calibration, Widths(4, 4))
    assert same(late, one)
    assert not set(late.mac_layers) & set(one.mac_layers)


def test_images_are_run_once_and_only_where_a_step_is_to_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One forward pass for all widths; none where all steps of signals are given."""
    runs: list[str] = []
    forward = Network.forward
    monkeypatch.setattr(Network, "forward", lambda self, images: runs.append(self.name) or forward(self, images))
    calibration = Calibration(PrunedNetwork(chain()), images_for(chain()))
    assert runs == []
    programs = [lower_calibrated(calibration, widths) for widths in WIDTHS]
    assert runs == ["chain"]
    signals = {
        operand.layer: float(step[0]) for operand, step in steps_of(programs[0]).items() if operand.kind == "signals"
    }
    assert same(lower(PrunedNetwork(chain()), WIDTHS[0], images_for(chain()), Steps(signals=signals)), programs[0])
    assert runs == ["chain"]


def test_images_must_fit() -> None:
    """Before anything is lowered."""
    with pytest.raises(
        EspalierError, match=r"^chain: calibration images must be \(images, 2, 8, 8\), got \(3, 2, 8, 7\)$"
    ):
        Calibration(PrunedNetwork(chain()), np.zeros((3, 2, 8, 7), np.float32))

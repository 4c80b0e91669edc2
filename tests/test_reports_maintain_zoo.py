"""Networks of the zoo made from a user's own folder: words, and machines whose sounds are learned again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.sounds import speech_commands, toy_car

pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from accel.errors import EspalierError
from accel.pruned import PrunedNetwork
from reports.maintain import zoo
from reports.workflow import recipes


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every training take one epoch."""
    for name in ("dscnn", "autoencoder"):
        entry = recipes.ENTRIES[name]
        dense, retrain = (replace(recipe, epochs=1) for recipe in (entry.dense, entry.retrain))
        monkeypatch.setitem(recipes.ENTRIES, name, replace(entry, dense=dense, retrain=retrain))


def made(name: str, pattern: str, data: Path, out: Path) -> tuple[dict[str, PrunedNetwork], dict[str, float]]:
    """Return what is made of a network, dense and by a pattern, and the error rates that the catalogue tells."""
    zoo.make(name, None, out, [pattern], str(data))
    catalogue = json.loads((out / name / "zoo.json").read_text())
    assert catalogue["data"] == f"{data.name}/"
    rows = {row["pattern"]: row for row in catalogue["files"]}
    networks = {pattern: PrunedNetwork.load(out / name / row["file"]) for pattern, row in rows.items()}
    return networks, {pattern: row["test_error_rate"] for pattern, row in rows.items()}


@pytest.mark.slow
def test_words(tmp_path: Path) -> None:
    """Speech Commands: a network and its pruned version, of whose 1x1 kernels 65 % are gone, by groups of eight."""
    networks, rates = made("dscnn", "kernel@8", speech_commands(tmp_path / "words", 0.1), tmp_path)
    assert [*networks] == ["dense", "kernel@8"]
    assert networks["dense"].data == "words/"
    assert sorted(networks["kernel@8"].masks) == [f"pointwise{block}" for block in range(2, 6)]
    assert networks["kernel@8"].masks["pointwise3"].kept.mean() == pytest.approx(0.35, abs=0.002)
    assert all(12 * rate == pytest.approx(round(12 * rate)) for rate in rates.values())  # of 12 test recordings


@pytest.mark.slow
def test_machines(tmp_path: Path) -> None:
    """Sounds of machines: what is told is the share of the variance that is missed."""
    networks, rates = made("autoencoder", "block-4", toy_car(tmp_path / "ToyCar", ("id_01",)), tmp_path)
    assert 0.5 < rates["dense"] <= 1
    assert networks["block-4"].kept_weights < 0.7 * networks["dense"].kept_weights


def test_data_without_a_name(tmp_path: Path) -> None:
    """Without a folder, what is asked for is said."""
    with pytest.raises(EspalierError, match=r"^dscnn: learns Speech Commands, no data set known by name: say where"):
        zoo.make("dscnn", None, tmp_path)

"""Visual Wake Words as MLPerf Tiny has them: ``vw_coco2014_96``, two folders of pictures of 96x96 pixels."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from accel.errors import EspalierError
from accel.interchange.data.own_data import OwnData, Taker, open_own
from accel.interchange.zoo.architectures import ARCHITECTURES

NETWORK = ARCHITECTURES["mobilenet-0.25"]()
TAKER = Taker(NETWORK.name, NETWORK.input_shape, NETWORK.shapes[NETWORK.output][0])


def pictures(folder: Path, side: int = 96) -> Path:
    """Write 8 pictures of each class, dark where nobody is and bright where somebody is."""
    for name, level in (("non_person", 40), ("person", 200)):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            pixels = np.full((side, side, 3), level + number, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"COCO_train2014_{number:012}.jpg", quality=95)
    return folder


def test_person_is_class_1(tmp_path: Path) -> None:
    """Classes are sorted names, as in MLPerf Tiny: 0 is non_person. Of the 8 of each, one is for each other split."""
    data = open_own(pictures(tmp_path / "vw_coco2014_96"), TAKER)
    assert isinstance(data, OwnData)
    for split, count in (("train", 12), ("validation", 2), ("test", 2)):
        images = data.load(split)
        assert (images.shape, len(images), images.classes) == ((3, 96, 96), count, 2)
        bright = images.pixels().mean(axis=(1, 2, 3)) > 0.5
        assert images.labels.tolist() == bright.astype(int).tolist()
    assert data.name == "vw_coco2014_96/"


def test_what_cannot_be(tmp_path: Path) -> None:
    """Pictures of another size, and a class without any, are said in one line."""
    large = pictures(tmp_path / "large", 224)
    with pytest.raises(EspalierError, match=re.escape("has the height and width (224, 224); all must have (96, 96)")):
        open_own(large, TAKER).load("train")
    empty = pictures(tmp_path / "empty")
    for file in (empty / "person").iterdir():
        file.unlink()
    with pytest.raises(EspalierError, match=r"person: a class folder without a picture"):
        open_own(empty, TAKER)

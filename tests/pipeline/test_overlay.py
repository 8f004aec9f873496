"""What is painted over frames: colours and names."""

import numpy as np
import pytest

from pipeline.labels import LabelSet
from pipeline.overlay import OverlayPainter
from tests.conftest import annotated_frame, rectangle


def test_painting_leaves_the_frame_alone(labels):
    image = np.full((64, 96, 3), 100, np.uint8)
    painter = OverlayPainter(labels, 64)
    painted = painter.paint(image, annotated_frame(0, t7_c1=rectangle(4, 4, 14, 30, (64, 96))))
    assert np.all(image == 100)
    assert painted[15, 9, 1] > painted[15, 9, 0]
    assert np.array_equal(painted[45:, 60:], image[45:, 60:])


@pytest.mark.parametrize(("color", "text"), [((0, 50, 128), 255), ((170, 255, 0), 0)])
def test_names_are_readable_on_dark_and_on_light_colours(color, text):
    label = {"id": 1, "name": "Vein", "kind": "thing", "value": 1, "color": list(color)}
    labels = LabelSet.from_json({"name": "one", "classes": [label]}, "test")
    mask = rectangle(20, 20, 280, 160, (180, 320))
    image = np.full((180, 320, 3), 128, np.uint8)
    painted = OverlayPainter(labels, 540).paint(image, annotated_frame(0, t1_c1=mask))
    assert (painted[40:] == text).all(-1).any()
    assert not (painted[40:] == 255 - text).all(-1).any()


def test_a_name_is_written_on_its_object_also_where_its_middle_lies_beside_it(labels):
    bent = rectangle(10, 10, 310, 170, (180, 320)) & ~rectangle(10, 10, 310, 130, (180, 320))
    bent |= rectangle(10, 10, 50, 170, (180, 320)) | rectangle(270, 10, 310, 170, (180, 320))
    speck = rectangle(3, 3, 4, 4, (180, 320))
    image = np.full((180, 320, 3), 128, np.uint8)
    frame = annotated_frame(0, t1_c1=bent, t2_c1=speck)
    painted = OverlayPainter(labels, 180).paint(image, frame)
    assert np.array_equal(painted[40:120, 70:250], image[40:120, 70:250])
    assert (painted[140:160, 60:260] == (0, 255, 0)).all(-1).sum() > 50


def test_names_of_objects_in_the_corner_stand_below_the_time_and_each_other(labels_with_hook):
    """A label's background is its class's colour, which nothing else has in full."""
    image = np.full((180, 320, 3), 128, np.uint8)
    specks = {f"t{i}_c{i}": rectangle(3 * i, 3, 3 * i + 2, 5, (180, 320)) for i in (1, 2, 3)}
    painted = OverlayPainter(labels_with_hook, 180).paint(image, annotated_frame(0, **specks))
    rows = []
    for class_id in (1, 2, 3):
        own = (painted == labels_with_hook[class_id].color).all(-1)
        rows.append(set(np.flatnonzero(own.sum(1) > 5)))
    stamp = set(np.flatnonzero((painted == 0).all(-1).sum(1) > 20))
    assert all(len(one) >= 8 for one in (stamp, *rows))
    assert max(stamp) < min(rows[0]) < max(rows[0]) < min(rows[1]) < max(rows[1]) < min(rows[2])


def test_what_is_painted_grows_with_the_picture(labels):
    """An outline is as thick a part of a large frame as of a small one."""
    shares = []
    for scale in (1, 2):
        size = (540 * scale, 960 * scale)
        left, right = 400 * scale, 800 * scale
        mask = rectangle(left, 100 * scale, right, 500 * scale, size)
        painted = OverlayPainter(labels, size[0]).paint(
            np.full((*size, 3), 128, np.uint8), annotated_frame(0, t1_c1=mask)
        )
        row = painted[200 * scale, left - 10 * scale : left + 10 * scale]
        shares.append((row == (0, 255, 0)).all(-1).mean())
    assert shares[0] == pytest.approx(shares[1], abs=0.05)
    assert shares[0] > 0

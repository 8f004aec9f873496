"""What is known of true masks before they judge anything."""

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.truth import look_over
from tests.conftest import annotated_frame, rectangle

SIZE = (8, 12)
MASK = rectangle(1, 1, 4, 4, SIZE)
VIDEO = Path("operation.mp4")


def test_classes_and_flags_of_all_frames_are_known(labels):
    frames = [annotated_frame(0), annotated_frame(2, t1_c2=MASK)]
    seen = look_over(iter(frames), Path("truth"), SIZE, VIDEO)
    assert seen.class_ids == {2}
    assert list(seen.flags) == [0, 2]


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([annotated_frame(0)], "truth shows no object of the classes that are compared"),
        (
            [annotated_frame(0, t1_c1=rectangle(1, 1, 4, 4, (9, 12)))],
            "truth has masks of 12x9, operation.mp4 is 12x8",
        ),
    ],
)
def test_masks_that_cannot_judge_the_video_are_refused(frames, said):
    with pytest.raises(InputError, match=said):
        look_over(frames, Path("truth"), SIZE, VIDEO)

"""When an overlay shows its frames, read back by another library."""

from dataclasses import replace

import av
import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.exports import Selection, export
from tests.conftest import annotated_frame, encode_at, rectangle, write_set

MASK = rectangle(4, 4, 14, 30, (64, 96))
# In milliseconds, from five seconds on.
TIMES = [5000, 5040, 5080, 5120, 5320, 5360, 5400, 5600, 5800, 5840, 5880, 6080]


def overlay_of(folder, labels, times, **options):
    """Export the overlay of a video with an uneven rate, whose set has these times in seconds."""
    encode_at(folder / "uneven.mkv", TIMES)
    frames = [
        replace(annotated_frame(index, t1_c1=MASK), time_s=time_s)
        for index, time_s in enumerate(times)
    ]
    path = write_set(folder / "uneven.annset", folder / "uneven.mkv", labels, frames)
    selection = Selection(annotation_set=AnnotationSet(path), **options)
    export(selection, "mp4", folder / "overlay.mp4")
    with av.open(str(folder / "overlay.mp4")) as container:
        length_s = container.duration / av.time_base
        return [frame.time for frame in container.decode(video=0)], length_s


@pytest.mark.parametrize(("every", "first_ms"), [(1, 5000), (3, 5000), (1, 0)])
def test_an_overlay_shows_frames_at_the_pace_of_the_video(tmp_path, labels, every, first_ms):
    times = [(time - 5000 + first_ms) / 1000 for time in TIMES]
    shown, length_s = overlay_of(tmp_path, labels, times, every=every)
    own = [(time - 5000) / 1000 for time in TIMES[::every]]
    assert shown == pytest.approx(own, abs=1e-4)
    # The last frame is seen as long as others are on average.
    assert length_s == pytest.approx(own[-1] + every * 1.08 / 11, abs=2e-3)


def test_chosen_frames_follow_each_other(tmp_path, labels):
    times = [time / 1000 for time in TIMES]
    shown, _ = overlay_of(tmp_path, labels, times, only=frozenset({1, 6, 11}))
    assert shown == pytest.approx([0, 1.08 / 11, 2 * 1.08 / 11], abs=1e-4)


def test_where_a_clock_was_set_the_next_frame_follows(tmp_path, labels):
    """Joined recordings begin at 0 again; a recorder that learns the date jumps by years."""
    times = [
        5.0,
        5.04,
        0.0,
        0.04,
        1.7e9,
        1.7e9 + 0.04,
        *(1.7e9 + 1 + number for number in range(6)),
    ]
    shown, _ = overlay_of(tmp_path, labels, times)
    mean = 1.08 / 11
    expected = [0, 0.04, 0.04 + mean, 0.08 + mean, 0.08 + 2 * mean, 0.12 + 2 * mean]
    assert shown[:6] == pytest.approx(expected, abs=1e-4)

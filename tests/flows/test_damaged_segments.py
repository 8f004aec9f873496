"""A video in segments with a damaged frame: it ends there, as one that is not divided."""

import av
import numpy as np
import pytest

from flows import annotate_segments, annotation_loops
from flows.annotate_segments import SegmentsJob, annotate_in_segments
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob, annotate_job
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError
from tests.hand_made import LEFT, SeesTheSame
from tests.small_data import damage

SETTINGS = AnnotateSettings(policy="framewise", device="cpu")
FRAMES = 140


class OneAfterTheOther:
    """What runs segments, without workers."""

    def with_options(self, **options):
        del options
        return lambda parts, name: [annotate_job(part).path for part in parts]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(annotation_loops, "open_models", lambda settings: (SeesTheSame(LEFT), None))
    monkeypatch.setattr(annotate_segments, "annotate_segments", OneAfterTheOther())


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """The same video, damaged at another frame under each name, which is that frame."""
    folder = tmp_path_factory.mktemp("damaged")
    for frame in (66, 100):
        path = folder / f"{frame}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
            # Each picture by itself, so that a damaged one takes no other with it.
            stream.options = {"g": "1", "bf": "0"}
            for index in range(FRAMES):
                picture = np.full((32, 48, 3), index, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            container.mux(stream.encode())
        damage(path, [frame])
    return folder


# Within what both segments annotate and where a cut is looked for, and in the second one alone.
@pytest.mark.parametrize("frame", [66, 100])
@pytest.mark.usefixtures("quick")
def test_the_set_ends_before_the_damage_and_says_why(videos, tmp_path, frame):
    video = videos / f"{frame}.mp4"
    whole = VideoJob(video=video, out=tmp_path / "whole", settings=SETTINGS)
    with pytest.raises(InputError, match=f"cannot be decoded at frame {frame} of {FRAMES}"):
        annotate_job(whole)
    divided = VideoJob(video=video, out=tmp_path / "divided", settings=SETTINGS)
    job = SegmentsJob(whole=divided, count=2, workers=1)
    # The second time goes on from what is there, to the same.
    for _ in range(2):
        with pytest.raises(InputError, match=f"cannot be decoded at frame {frame} of {FRAMES}"):
            annotate_in_segments(job)
        found, expected = AnnotationSet(divided.set_path), AnnotationSet(whole.set_path)
        assert found.manifest.state == "failed"
        assert found.manifest.failure == expected.manifest.failure
        assert [f.index for f in found.frames()] == [f.index for f in expected.frames()]
        assert found.manifest.counts == expected.manifest.counts

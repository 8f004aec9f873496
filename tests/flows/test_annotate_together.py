"""Several videos at the same time in one process: the same sets, from shared batches."""

import json

import pytest

from flows.annotate_together import annotate_together
from flows.settings import AnnotateSettings
from flows.video_job import VideoJob
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError, UsageError
from samples.theatre.render import render
from tracking.frame_features import PictureEncoder

SIZES = ((160, 96), (128, 128), (160, 96))
FRAMES = (20, 12, 10)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three scenes of different lengths, one of another size."""
    folder = tmp_path_factory.mktemp("videos")
    paths = []
    for number, ((width, height), frames) in enumerate(zip(SIZES, FRAMES, strict=True)):
        scene = folder / f"scene-{number}"
        render(seed=5 + number, frame_count=frames, width=width, height=height, folder=scene)
        paths.append((scene / "video.mp4").rename(folder / f"video-{number}.mp4"))
    return paths


def masks_of(path):
    return [
        [(t.track_id, t.class_id, t.rle) for t in f.tracks] for f in AnnotationSet(path).frames()
    ]


def test_videos_together_have_the_sets_of_each_alone(scopeline, videos, tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert scopeline("annotate", *videos, "--out", alone)[0] == 0
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(videos[0].read_bytes()[:2000])
    given = (videos[0], damaged, *videos[1:])
    options = ("--out", together, "--together", 2, "--json")
    code, out, error = scopeline("annotate", *given, *options)
    assert code == 1
    assert f"{damaged} is not a video" in " ".join(error.split())
    results = json.loads(out)["videos"]
    assert [result["video"] for result in results] == [str(path) for path in given]
    assert [result.get("frames") for result in results] == [FRAMES[0], None, *FRAMES[1:]]
    for video in videos:
        name = f"{video.stem}.annset"
        assert any(masks_of(together / name))
        assert masks_of(together / name) == masks_of(alone / name)
    finished = {path: path.stat().st_mtime_ns for path in together.glob("*/masks/*")}
    assert scopeline("annotate", *videos, *options)[0] == 0
    assert finished == {path: path.stat().st_mtime_ns for path in together.glob("*/masks/*")}


def jobs_of(videos, out):
    settings = AnnotateSettings(policy="first-frame")
    return [VideoJob(video=video, out=out, settings=settings) for video in videos]


def test_the_encoder_sees_the_frames_of_all_videos_that_are_under_way(
    videos, tmp_path, monkeypatch
):
    seen = []
    encode = PictureEncoder.encode

    def noted(self, *images):
        seen.append(tuple(len(of_video) for of_video in images))
        return encode(self, *images)

    monkeypatch.setattr(PictureEncoder, "encode", noted)
    ended = list(annotate_together(jobs_of(videos, tmp_path), 2, lambda job: lambda *_: None))
    assert {each.job.video for each in ended} == set(videos)
    # 20 and 12 frames in batches of 8; the last video takes the place of the second.
    assert seen == [(8, 8), (8, 4), (4, 8), (2,)]


def test_no_frame_is_encoded_twice_where_the_tracker_looks_ahead(videos, tmp_path, monkeypatch):
    settings, seen, encode = (
        AnnotateSettings(policy="sasvi", max_frames=11),
        [],
        PictureEncoder.encode,
    )

    def noted(self, *images):
        seen.extend(images)
        return encode(self, *images)

    monkeypatch.setattr(PictureEncoder, "encode", noted)
    jobs = [VideoJob(video=video, out=tmp_path, settings=settings) for video in videos[:2]]
    assert len(list(annotate_together(jobs, 2, lambda job: lambda *_: None))) == 2
    assert sum(map(len, seen)) == 2 * 11


def test_whatever_ends_one_video_is_noted_in_the_sets_of_all(videos, tmp_path):
    def begin(job):
        def interrupt(done, total):
            if job.video == videos[1]:
                raise KeyboardInterrupt

        return interrupt

    with pytest.raises(KeyboardInterrupt):
        list(annotate_together(jobs_of(videos[:2], tmp_path), 2, begin))
    for video in videos[:2]:
        manifest = AnnotationSet(tmp_path / f"{video.stem}.annset").manifest
        assert (manifest.state, manifest.failure) == ("failed", "KeyboardInterrupt")
    # The same call goes on.
    for ended in annotate_together(jobs_of(videos[:2], tmp_path), 2, lambda job: lambda *_: None):
        assert not isinstance(ended.outcome, InputError)
        assert ended.outcome.is_complete


def test_what_cannot_be_encoded_together_ends_those_videos_and_no_other(
    videos, tmp_path, monkeypatch
):
    encode = PictureEncoder.encode
    calls = []

    def without_room_at_first(self, *images):
        calls.append(images)
        if len(calls) == 1:
            raise RuntimeError("CUDA out of memory")
        return encode(self, *images)

    monkeypatch.setattr(PictureEncoder, "encode", without_room_at_first)
    ended = list(annotate_together(jobs_of(videos, tmp_path), 2, lambda job: lambda *_: None))
    assert [each.job.video for each in ended] == videos
    for each in ended[:2]:
        assert "CUDA out of memory" in str(each.outcome)
        manifest = AnnotationSet(each.job.set_path).manifest
        assert manifest.state == "failed"
        assert "CUDA out of memory" in manifest.failure
    assert ended[2].outcome.is_complete


def test_a_caller_that_reads_on_no_more_leaves_the_other_sets_to_go_on_with(videos, tmp_path):
    jobs = jobs_of(videos[:2], tmp_path)
    sets = annotate_together(jobs, 2, lambda job: lambda *_: None)
    assert next(sets).job.video == videos[1]
    sets.close()
    manifest = AnnotationSet(tmp_path / f"{videos[0].stem}.annset").manifest
    assert (manifest.state, manifest.failure) == ("running", None)
    (other,) = annotate_together(jobs[:1], 2, lambda job: lambda *_: None)
    assert other.outcome.is_complete


def test_a_part_of_a_video_is_not_annotated_beside_others(scopeline, videos, tmp_path):
    options = ("--together", 2, "--segments", 2)
    code, _, error = scopeline("annotate", *videos, "--out", tmp_path, *options)
    assert code == 2
    assert "--together goes with whole videos" in error


def test_a_setting_that_is_not_usable_is_wrong_use_as_with_one_video(videos, tmp_path):
    settings = AnnotateSettings(device="cuda:7")
    jobs = [VideoJob(video=video, out=tmp_path, settings=settings) for video in videos]
    with pytest.raises(UsageError, match="CUDA"):
        list(annotate_together(jobs, 2, lambda job: lambda *_: None))

"""The Prefect flow, on a server and a database of its own."""

import av
import pytest
from prefect import get_client

from flows.annotate_video import annotate_video
from flows.prefect_server import prefect_api
from flows.settings import AnnotateSettings
from pipeline.annotation_set import AnnotationSet
from pipeline.errors import InputError
from samples.theatre.render import render


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        with prefect_api():
            yield


def test_the_flow_annotates_and_exports(prefect_server, tmp_path):
    render(seed=5, frame_count=6, width=160, height=96, folder=tmp_path)
    settings = AnnotateSettings(policy="first-frame", device="cpu")
    # Beside the video itself, which stays as it is.
    out, video = tmp_path, (tmp_path / "video.mp4").read_bytes()
    result = annotate_video(tmp_path / "video.mp4", out, settings)
    assert (tmp_path / "video.mp4").read_bytes() == video
    assert AnnotationSet(out / "video.annset").is_complete
    assert result["set"] == str(out / "video.annset")
    with av.open(result["overlay"]) as container:
        assert sum(1 for _ in container.decode(video=0)) == 6
    assert "<html" in (out / "video.html").read_text()
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts()
    assert [found.data for found in artifacts if found.type == "progress"] == [100.0]
    report = (out / "video.html").as_uri()
    assert any(report in str(found.data) for found in artifacts)
    # The same run again finds all of it there, and is no error.
    assert annotate_video(tmp_path / "video.mp4", out, settings) == result


def test_a_bad_video_fails_the_flow_with_its_sentence(prefect_server, tmp_path):
    path = tmp_path / "bad.mp4"
    path.write_text("no video")
    with pytest.raises(InputError, match=r"bad\.mp4 is not a video"):
        annotate_video(path, tmp_path / "out", AnnotateSettings(device="cpu"))
    assert not (tmp_path / "out").exists()

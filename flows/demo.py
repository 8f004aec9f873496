"""`make demo`: annotate the checked-in clip through the Prefect flow, and say where it is."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CLIP = REPOSITORY / "samples" / "clips" / "theatre.mp4"


def main() -> None:
    """Annotate the clip into `demo/` with the models that ship."""
    # Must stand before Prefect is imported: it reads them then.
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from flows.annotate_video import annotate_video
    from flows.prefect_server import prefect_api

    out = REPOSITORY / "demo"
    remove_outdated(CLIP, out)
    with prefect_api():
        result = annotate_video(CLIP, out)
    print(f"\nannotation set: {result['set']}")
    print(f"overlay video:  {result['overlay']}")
    print(f"report:         {result['report']}")
    print(f"look closer:    .venv/bin/scopeline info {result['set']}")


def remove_outdated(video: Path, out: Path) -> None:
    """Remove the demo that other models or settings have made, such as an earlier version's."""
    from flows.settings import AnnotateSettings
    from flows.standing_sets import set_to_keep
    from flows.video_job import VideoJob, manifest_of
    from pipeline.annotation_set.folders import remove_set
    from pipeline.errors import OutputError
    from pipeline.frames import open_video

    job = VideoJob(video=video, out=out, settings=AnnotateSettings())
    try:
        set_to_keep(job.set_path, manifest_of(open_video(video).info, job.settings), resume=True)
    except OutputError:
        remove_set(job.set_path)


if __name__ == "__main__":
    main()

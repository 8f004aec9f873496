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

    result = annotate_video(CLIP, REPOSITORY / "demo")
    print(f"\nannotation set: {result['set']}")
    print(f"overlay video:  {result['overlay']}")
    print(f"look closer:    .venv/bin/scopeline info {result['set']}")


if __name__ == "__main__":
    main()

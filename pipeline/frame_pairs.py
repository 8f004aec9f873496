"""What two annotations of one video say of the same frames."""

from collections.abc import Iterable, Iterator

from pipeline.records import FrameAnnotation


def common_frames(
    annotated: Iterable[FrameAnnotation], truth: Iterable[FrameAnnotation]
) -> Iterator[tuple[FrameAnnotation, FrameAnnotation]]:
    """Yield the frames that both have, side by side; none is held while others are read.

    Args:
        annotated: what is judged, by ascending index.
        truth: what is right, by ascending index.
    """
    right = iter(truth)
    true = next(right, None)
    for found in annotated:
        while true is not None and true.index < found.index:
            true = next(right, None)
        if true is None:
            return
        if true.index == found.index:
            yield found, true

"""Several videos in one data set, divided among training, validation and test by video."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.exports.selection import Selection

PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Splits:
    """How videos are divided among training, validation and test; a video is never divided.

    Attributes:
        shares: of the videos, for train, val and test; they sum up to 1.

    Raises:
        UsageError: they do not.
    """

    shares: tuple[float, float, float] = (0.8, 0.2, 0.0)

    def __post_init__(self) -> None:
        """Check the shares."""
        if not min(self.shares) >= 0 or not abs(sum(self.shares) - 1) <= 1e-6:
            raise UsageError(f"--splits has shares {self.shares}; give some that sum up to 1")

    @classmethod
    def parse(cls, text: str) -> "Splits":
        """Read `by-video` or `by-video:0.7,0.2,0.1`.

        Raises:
            UsageError: the text is neither.
        """
        kind, _, shares = text.partition(":")
        try:
            numbers = [float(share) for share in shares.split(",")] if shares else [0.8, 0.2]
        except ValueError:
            numbers = []
        if kind != "by-video" or not 1 <= len(numbers) <= len(PARTS):
            raise UsageError(
                f"--splits {text} is not known; write by-video or by-video:0.7,0.2,0.1"
            )
        train, val, test = (*numbers, 0.0, 0.0)[:3]
        return cls((train, val, test))

    def require_enough(self, count: int) -> None:
        """Check that so many videos fill all parts.

        Raises:
            UsageError: there are fewer videos than parts.
        """
        parts = sum(share > 0 for share in self.shares)
        if count < parts:
            raise UsageError(
                f"--splits has {parts} parts, and a video is never divided: give {parts} sets or "
                "more, or leave out --splits"
            )

    def divide(self, selections: Sequence[Selection]) -> dict[str, list[Selection]]:
        """Return the sets of each part; the content of the videos alone decides.

        Of two or more videos each part with a share gets one at least, as far as they go.
        """
        shares = {name: share for name, share in zip(PARTS, self.shares, strict=True) if share > 0}
        parts: dict[str, list[Selection]] = {name: [] for name in PARTS}
        for selection in sorted(selections, key=_content):
            empty = [name for name in shares if not parts[name]]
            missing = {
                name: share * len(selections) - len(parts[name]) for name, share in shares.items()
            }
            parts[empty[0] if empty else max(missing, key=missing.__getitem__)].append(selection)
        return parts


def _content(selection: Selection) -> str:
    return selection.annotation_set.manifest.video.sha256


def check_together(selections: Sequence[Selection]) -> None:
    """Check that sets can go into one data set.

    Raises:
        UsageError: two videos have the same name or content, or the sets have different classes.
    """
    names = [selection.video_name for selection in selections]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two sets are of a video {name}; export them one by one")
    contents: dict[str, Path] = {}
    for selection in selections:
        path = selection.annotation_set.path
        if (other := contents.setdefault(_content(selection), path)) is not path:
            raise UsageError(f"{other} and {path} are of one video; export them one by one")
    for selection in selections[1:]:
        if class_names(selection) != class_names(selections[0]):
            raise UsageError(
                f"{selection.annotation_set.path} has other classes than "
                f"{selections[0].annotation_set.path}; choose common ones by --classes"
            )


def class_names(selection: Selection) -> list[str]:
    """Return the names of the exported classes, in the order of the label set."""
    return [label.name for label in selection.labels]

"""The manifest of an annotation set: what it is of, how it was made, which parts it has."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FORMAT_VERSION = 1
# Of a frame in pixels, far beyond what any camera has.
_LONGEST_SIDE = 1 << 16


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ManifestVersion(BaseModel):
    """What of a manifest can be read in every version."""

    format_version: int = FORMAT_VERSION


def _plain_name(name: str) -> str:
    """Refuse a name that would lead elsewhere, since exports name files and folders by it."""
    if PurePath(name).name != name or name in ("", "..") or "\0" in name:
        raise ValueError(f"{name!r} is not the plain name of a video")
    return name


class VideoEntry(_Strict):
    """The video that a set annotates."""

    name: Annotated[str, AfterValidator(_plain_name)]
    path: str
    sha256: str
    width: Annotated[int, Field(gt=0, le=_LONGEST_SIDE)]
    height: Annotated[int, Field(gt=0, le=_LONGEST_SIDE)]
    frame_count: Annotated[int, Field(ge=0)]
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Counts(_Strict):
    """What is committed so far."""

    frames: Annotated[int, Field(ge=0)] = 0
    masks: Annotated[int, Field(ge=0)] = 0
    prompts: Annotated[int, Field(ge=0)] = 0
    tracks: Annotated[int, Field(ge=0)] = 0


class Manifest(_Strict):
    """The content of `manifest.json`; its number of parts is the commit."""

    format_version: int = FORMAT_VERSION
    video: VideoEntry
    labels: dict[str, Any]
    models: dict[str, dict[str, str]] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    software: dict[str, str] = Field(default_factory=dict)
    state: Literal["running", "complete", "failed"] = "running"
    failure: str | None = None
    parts: Annotated[int, Field(ge=0)] = 0
    counts: Counts = Counts()


# Settings that policies other than the default one do not read.
_UNREAD_BY_POLICY = {
    "first-frame": ("overseer_every", "steady", "pictures"),
    "sasvi": ("overseer_every", "steady", "pictures"),
    "framewise": ("overseer_every", "steady", "pictures", "tracker"),
    "given": (
        "overseer_every", "overseer_views", "steady", "pictures", "overseer", "overseer_weights",
    ),
}  # fmt: skip


def unread_settings(settings: Mapping[str, Any]) -> set[str]:
    """Return the names of the settings that the policy among them does not read."""
    unread = set(_UNREAD_BY_POLICY.get(str(settings.get("policy")), ()))
    return unread if settings.get("prompts") is None else unread | {"steady", "pictures"}


def settings_in_effect(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a manifest that say something, for people to read.

    How prompts are taken says nothing where none were given, nor does what a policy does not read.
    Of the corrections that were taken over, people want to know how many there were.
    """
    said = {name: value for name, value in settings.items() if value not in (None, [], {})}
    if isinstance(corrects := said.get("corrects"), dict):
        said["corrects"] = corrects.get("set")
    if isinstance(corrected := said.get("corrected"), list):
        said["corrected"] = f"{len(corrected)} times" if len(corrected) > 1 else "once"
    unread = unread_settings(said)
    if "prompts" not in said:
        unread |= {"prompt_frames", "prompt_kind"}
    return {name: value for name, value in said.items() if name not in unread}

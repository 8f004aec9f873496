"""The manifest of an annotation set: what it is of, how it was made, which parts it has."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

FORMAT_VERSION = 1


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
    width: int
    height: int
    frame_count: int
    rate: float


class Counts(_Strict):
    """What is committed so far."""

    frames: int = 0
    masks: int = 0
    prompts: int = 0
    tracks: int = 0


class Manifest(_Strict):
    """The content of `manifest.json`; its list of parts is the commit."""

    format_version: int = FORMAT_VERSION
    video: VideoEntry
    labels: dict[str, Any]
    models: dict[str, dict[str, str]] = Field(default_factory=dict)
    settings: dict[str, Any] = Field(default_factory=dict)
    software: dict[str, str] = Field(default_factory=dict)
    state: Literal["running", "complete", "failed"] = "running"
    failure: str | None = None
    parts: int = 0
    counts: Counts = Counts()


def settings_in_effect(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a manifest that say something, for people to read.

    How prompts are taken says nothing where none were given. Of the corrections that were taken
    over, people want to know how many there were.
    """
    said = {name: value for name, value in settings.items() if value not in (None, [], {})}
    if isinstance(corrected := said.get("corrected"), list):
        said["corrected"] = f"{len(corrected)} times" if len(corrected) > 1 else "once"
    if "prompts" in said:
        return said
    return {name: value for name, value in said.items() if not name.startswith("prompt_")}

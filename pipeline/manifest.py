"""The manifest of an annotation set: what it is of, how it was made, which parts it has."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VideoEntry(_Strict):
    """The video that a set annotates."""

    name: str
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

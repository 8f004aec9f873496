"""Settings of an annotation job, from the command line, the environment or a flow's parameters."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from flows.given_prompts import PromptFrames, PromptKind
from pipeline.errors import UsageError
from pipeline.frames import OnBadFrame
from pipeline.manifest import unread_settings
from pipeline.policies.constellation.settings import Rule

PolicyName = Literal["constellation", "sasvi", "first-frame", "framewise", "given"]
POLICIES: tuple[PolicyName, ...] = get_args(PolicyName)
# Frames that are decoded, looked at and encoded together.
BATCH_FRAMES = 8
ADAPTIVE: Literal["adaptive"] = "adaptive"
Runtime = Literal["torch", "compiled", "openvino"]
PrecisionName = Literal["auto", "float32", "bfloat16"]
PictureSize = Literal["reduced", "full"]
OverseerViews = Literal["one", "mirrored"]
OverseerEvery = Annotated[int, Field(ge=1)] | Literal["adaptive"]


class AnnotateSettings(BaseSettings):
    """How videos are annotated; each field may be set by `SCOPELINE_<FIELD>`.

    Attributes:
        overseer: name or folder of the overseer.
        overseer_weights: checkpoint of a published overseer.
        tracker: name, folder or checkpoint of the tracker.
        policy: when to prompt.
        overseer_every: the overseer looks at each Nth frame, or when something seems to change;
            of the constellation policy.
        overseer_views: the overseer sees each frame as it is (`one`), or its mirror image as well
            (`mirrored`), which sees better and takes twice as long.
        without: rules of the constellation policy that are left out.
        steady: how much of an outline comes from each neighbouring frame, moved along the optical
            flow; of the constellation policy without given prompts. 0: nothing.
        pictures: the size at which videos are decoded and masks are worked with: `reduced` to what
            the networks and the steadying of outlines need, where they are steadied, or `full`.
            Masks are stored at the video's size either way.
        prompts: annotation set or folder of mask PNGs with true masks to prompt with.
        prompt_frames: the frames of `prompts` that are used, or `first` for each object's first.
        prompt_kind: hint that is made of a mask of `prompts`.
        labels: JSON file that says what the values in mask PNGs mean.
        device: auto, cpu, cuda or cuda:N.
        runtime: what computes the image encoder and the overseer's backbone; openvino is faster
            on a CPU, and needs the package of that name; compiled: torch, which first compiles
            them.
        precision: of the networks' convolutions and products; auto: bfloat16 on a GPU that has it
            in hardware, else float32.
        max_frames: stop after this many frames.
        on_bad_frame: what to do about a frame that cannot be decoded: end there, or go on and
            flag it.

    Raises:
        UsageError: policy and prompts do not go together.
        ValidationError: a field is of the wrong kind or out of range.
    """

    model_config = SettingsConfigDict(env_prefix="SCOPELINE_", frozen=True, extra="forbid")

    overseer: str = "scopeline"
    overseer_weights: Path | None = None
    tracker: str = "scopeline"
    policy: PolicyName = "constellation"
    overseer_every: OverseerEvery = ADAPTIVE
    overseer_views: OverseerViews = "one"
    without: tuple[Rule, ...] = ()
    steady: float = Field(default=0.8, ge=0, le=0.9)
    pictures: PictureSize = "reduced"
    prompts: Path | None = None
    prompt_frames: PromptFrames = (0,)
    prompt_kind: PromptKind = "mask"
    labels: Path | None = None
    device: str = "auto"
    runtime: Runtime = "torch"
    precision: PrecisionName = "auto"
    max_frames: int | None = Field(default=None, ge=1)
    on_bad_frame: OnBadFrame = "stop"

    @model_validator(mode="after")
    def _check_prompts(self) -> Self:
        if self.policy == "given" and self.prompts is None:
            raise UsageError("--policy given needs --prompts: true masks to start from")
        if self.policy in ("framewise", "sasvi") and self.prompts is not None:
            raise UsageError(
                f"--policy {self.policy} prompts only with what the overseer sees; leave out "
                "--prompts"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Return what determines the result: all but where it is computed, by what and how."""
        return self.model_dump(mode="json", exclude={"device", "runtime", "precision"})


def refuse_unread(given: Collection[str], settings: AnnotateSettings) -> None:
    """Refuse options that the policy would not read.

    Args:
        given: names of the settings that a user gave.
        settings: what they make.

    Raises:
        UsageError: one would have no effect.
    """
    # Where the size of pictures is not read, it is the video's, whatever was asked for.
    unread = unread_settings(settings.model_dump()) - {"pictures"}
    for name in sorted(unread.intersection(given)):
        prompts = " with --prompts" if settings.prompts is not None else ""
        raise UsageError(
            f"{option_of(name)} has no effect with --policy {settings.policy}{prompts}; leave it "
            "out"
        )


def fixed_settings(**given: Any) -> AnnotateSettings:
    """Return settings, of which those that are not given come from the environment.

    Raises:
        UsageError: one is not usable.
    """
    try:
        return AnnotateSettings(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        field = name.partition(".")[0]
        place = option_of(field) if field in given else f"SCOPELINE_{field.upper()}"
        raise UsageError(f"{place}: {problem['msg']}, not {problem['input']!r}") from error


def option_of(field: str) -> str:
    """Return the option of the command line that sets a field."""
    return "--weights" if field == "overseer_weights" else f"--{field.replace('_', '-')}"


def settings_from_options(**given: Any) -> AnnotateSettings:
    """Return the settings that a command's options make; those not given are None.

    Raises:
        UsageError: one is not usable, or would have no effect.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = fixed_settings(**chosen)
    refuse_unread([*chosen], settings)
    return settings

"""What several test modules share: small scenes, label sets and records."""

import os
import sys
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from flows import cli
from overseer.config import OverseerConfig
from overseer.mask_rcnn import MaskRCNNOverseer
from overseer.networks import build_network
from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.frames import VideoInfo, open_video
from pipeline.labels import CHOLECSEG8K, LabelClass, LabelSet
from pipeline.masks import encode_mask
from pipeline.policies.constellation.looks import EveryNth
from pipeline.policies.constellation.policy import Constellation
from pipeline.policies.constellation.settings import ConstellationSettings
from pipeline.records import FrameAnnotation, Origin, Prompt, PromptReason, TrackAnnotation
from pipeline.video_writer import VideoWriter
from samples.theatre import Theatre
from samples.theatre.render import render
from tracking.adapted_weights import load_tracker

# Its failed assertions say what they compared, as those of the test modules do.
pytest.register_assert_rewrite("tests.corrected_exports")

needs_detectron2 = pytest.mark.skipif(
    find_spec("detectron2") is None, reason="detectron2 is not installed; run `make detectron2`"
)
# One network of each backend: what holds for an overseer holds for both.
BACKENDS = (
    "efficientnet_lite0",
    pytest.param("detectron2_resnet50", marks=needs_detectron2),
)

# Sums come out the same to the last bit only if they are divided among as many threads.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

CPU = torch.device("cpu")
CLIP = Path(__file__).resolve().parents[1] / "samples" / "clips" / "theatre.mp4"
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def random_overseer(backbone: str, device: torch.device = CPU) -> MaskRCNNOverseer:
    """An overseer with random weights that finds something in any picture."""
    torch.manual_seed(0)
    config = OverseerConfig(
        backbone=backbone, channels=32, proposals=20, detections=6, score_threshold=0.0
    )
    network = build_network(config, 12)
    # A ResNet's random features are so large that all boxes would leave the picture.
    for name, weights in network.named_parameters():
        if "backbone.fpn_output" in name:
            torch.nn.init.normal_(weights, std=1e-5)
    return MaskRCNNOverseer(network, config, CHOLECSEG8K, device)


def annotated_clip(scopeline, out, *options):
    """Annotate the first frames of the checked-in clip by the command; returns the set."""
    code, _, error = scopeline("annotate", CLIP, "--out", out, "--max-frames", 12, *options)
    assert code == 0, error
    return AnnotationSet(out / f"{CLIP.stem}.annset")


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    """A folder with a small video of the theatre, and its truth."""
    folder = tmp_path_factory.mktemp("scene")
    render(seed=21, frame_count=16, width=240, height=136, folder=folder)
    return folder


@pytest.fixture
def real_video() -> Path:
    path = SHARED_DATA / "autolaparo" / "up.mp4"
    if not path.exists():
        pytest.skip("the real laparoscopic video is not on this machine")
    return path


@pytest.fixture
def scopeline(monkeypatch, capsys):
    """Run the command in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["scopeline", *map(str, arguments)])
        monkeypatch.delenv("SCOPELINE_DEBUG", raising=False)
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def labels() -> LabelSet:
    return LabelSet(
        name="two",
        classes=(
            LabelClass(id=0, name="Nothing", kind="background", color=(0, 0, 0), value=0),
            LabelClass(id=1, name="Grasper", kind="thing", color=(0, 255, 0), value=255),
            LabelClass(id=2, name="Liver", kind="stuff", color=(200, 60, 60), value=90),
        ),
    )


@pytest.fixture
def labels_with_hook(labels) -> LabelSet:
    hook = LabelClass(id=3, name="Hook", kind="thing", color=(0, 0, 255), value=120)
    return LabelSet(name="three", classes=(*labels.classes, hook))


@pytest.fixture
def clip_info() -> VideoInfo:
    return VideoInfo(
        name="clip",
        path=Path("clip.mp4"),
        sha256="0" * 64,
        width=48,
        height=32,
        frame_count=250,
        rate=25.0,
    )


@pytest.fixture
def small_video(tmp_path: Path) -> Path:
    """A video of 12 frames, 96x64, whose brightness is 20 times the frame index."""
    path = tmp_path / "small.mp4"
    with VideoWriter(path, rate=25, width=96, height=64, quality=1) as writer:
        for index in range(12):
            writer.add(np.full((64, 96, 3), 20 * index, np.uint8))
    return path


def encode_at(path: Path, times_ms: list[int]) -> None:
    """Write a video of frames, 96x64, that are shown at these times."""
    tick = Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = tick
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 20 * number, np.uint8))
            frame.pts, frame.time_base = time_ms, tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def rectangle(left: int, top: int, right: int, bottom: int, size=(32, 48)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def place_prompt(box=None, points=None):
    """Prompt track 1 on the first frame by a box [4] or points [P, 3]."""
    return Prompt(
        frame_index=0,
        track_id=1,
        class_id=1,
        reason=PromptReason.HUMAN,
        box=None if box is None else np.array(box, np.float32),
        points=None if points is None else np.array(points, np.float32),
    )


def mask_prompt(frame_index: int, track_id: int, mask: np.ndarray) -> Prompt:
    return Prompt(
        frame_index=frame_index,
        track_id=track_id,
        class_id=1,
        reason=PromptReason.ENTERED,
        mask=mask,
    )


def annotated_frame(index: int, **masks) -> FrameAnnotation:
    """A frame whose tracks are given as t<track>_c<class>=mask."""
    tracks = []
    for name, mask in masks.items():
        track, class_id = (int(part[1:]) for part in name.split("_"))
        tracks.append(
            TrackAnnotation(
                track_id=track,
                class_id=class_id,
                rle=encode_mask(mask),
                quality=0.5,
                presence=0.75,
                origin=Origin.PROPAGATED,
                prompt_id=0,
            )
        )
    return FrameAnnotation(index=index, time_s=index / 25, tracks=tuple(tracks))


def assert_left_out(frames, said) -> None:
    """Each frame that was left out is named, and why."""
    assert len(frames.problems) == len(said)
    for part in said:
        assert any(part in problem for problem in frames.problems), part


def write_set(path, video, labels, frames, **options):
    """Write frames of a video as an annotation set; returns its path."""
    manifest = new_manifest(open_video(video).info, labels, **options)
    with AnnotationSetWriter(path, manifest) as writer:
        for frame in frames:
            writer.add(frame)
    return path


@pytest.fixture(scope="module")
def trained():
    """The network that ships: a random one mostly says that nothing is visible."""
    return load_tracker("scopeline")


def first_object(seed=5, frame_count=12):
    """A moving scene and the true mask of its largest object in each frame."""
    theatre = Theatre(seed=seed, width=160, height=96, frame_count=frame_count)
    drawn = list(theatre)
    track_id = int(np.bincount(drawn[0].track_map[drawn[0].track_map > 0]).argmax())
    return [frame.image for frame in drawn], [frame.track_map == track_id for frame in drawn]


@pytest.fixture
def policy(labels) -> Constellation:
    # Thresholds of their own, so that tuning the defaults does not change what is tested.
    settings = ConstellationSettings(
        enter_score=0.7,
        confirm_score=0.45,
        drift_iou=0.5,
        drift_looks=2,
        drift_score=0.7,
        unsupported_looks=8,
    )
    return Constellation(labels, settings, EveryNth(1))

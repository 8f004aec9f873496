"""Training clips of the theatre, drawn once and kept on disk."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path

import cv2
import numpy as np

from pipeline.errors import OutputError
from pipeline.labelled_clip import LabelledClip
from pipeline.remedies import remedy
from samples.theatre.looks import PLAIN_SCENERY, Scenery
from samples.theatre.scene import Theatre

# Training draws from these seeds on; all smaller seeds stay unseen, for tests and figures.
FIRST_TRAINING_SEED = 100_000
# To be raised whenever a seed draws another picture or another truth, so that kept clips are drawn
# anew.
EDITION = 2
_SCENE_FRAMES = 250
# Between two frames of a clip lie this many frames of the scene, so that the models see
# slow and fast motion, and objects that leave and return.
_STRIDES = (1, 1, 2, 3, 4, 6)
# Held while a worker writes a clip, so that it does not end in the midst of that.
_writing = threading.Lock()


def draw_clip(
    *,
    seed: int,
    frame_count: int,
    width: int,
    height: int,
    scenery: Scenery = PLAIN_SCENERY,
) -> LabelledClip:
    """Draw a short clip from somewhere within the scene of a seed.

    Raises:
        ValueError: the sizes are not usable by the theatre.
    """
    random = np.random.default_rng([seed, 0xC11B])
    stride = int(random.choice(_STRIDES))
    scene_frames = max(_SCENE_FRAMES, frame_count * stride)
    theatre = Theatre.of(scenery, seed=seed, width=width, height=height, frame_count=scene_frames)
    start = int(random.integers(0, scene_frames - (frame_count - 1) * stride))
    frames = [theatre.frame(start + number * stride) for number in range(frame_count)]
    return LabelledClip(
        images=np.stack([frame.image for frame in frames]),
        track_maps=np.stack([frame.track_map for frame in frames]),
        class_of_track=theatre.tracks,
    )


def _clip_path(seed: int, folder: Path, scenery: Scenery) -> Path:
    look = scenery.look(seed)
    made_of = f"-{look.content}" if look.content else ""
    return folder / f"{scenery.family(seed)}-{look.name}{made_of}-{seed}"


def _store_clip(
    seed: int, folder: Path, frame_count: int, width: int, height: int, scenery: Scenery
) -> None:
    path = _clip_path(seed, folder, scenery)
    # Another process, such as the other model's training, may have drawn it meanwhile.
    if path.exists():
        return
    cv2.setNumThreads(1)
    clip = draw_clip(
        seed=seed, frame_count=frame_count, width=width, height=height, scenery=scenery
    )
    with _writing:
        _write_clip(clip, path)


def _write_clip(clip: LabelledClip, path: Path) -> None:
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        draft.mkdir(parents=True, exist_ok=True)
        np.save(draft / "images.npy", clip.images)
        np.save(draft / "track_maps.npy", clip.track_maps)
        (draft / "tracks.json").write_text(json.dumps(clip.class_of_track))
        draft.rename(path)
    except OSError as error:
        if not path.exists():
            raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> OutputError:
    # NumPy says how much it wrote, and no reason.
    reason = error.strerror or str(error)
    return OutputError(
        f"{path} cannot be written ({reason}); "
        f"{remedy(error.errno, 'set XDG_CACHE_HOME to another folder')}"
    )


def _begin_worker() -> None:
    """Let a process that draws end with the one that started it: a pool's workers wait for ever."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is None:
        return
    parent.join()
    with _writing:
        os._exit(1)


def _open_clip(path: Path) -> LabelledClip:
    tracks = json.loads((path / "tracks.json").read_text())
    return LabelledClip(
        images=np.load(path / "images.npy", mmap_mode="r"),
        track_maps=np.load(path / "track_maps.npy", mmap_mode="r"),
        class_of_track={int(track_id): class_id for track_id, class_id in tracks.items()},
    )


def clip_pool(
    *,
    folder: Path,
    seeds: Iterable[int],
    frame_count: int,
    width: int,
    height: int,
    scenery: Scenery = PLAIN_SCENERY,
    workers: int = 2,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[LabelledClip]:
    """Draw the clips of some seeds into a folder, or open those that are there already.

    The arrays stay on disk and are read as they are used, so a pool may be larger than
    memory. A clip is renamed into place when it is complete; stopping loses at most one.

    Args:
        folder: where the clips are kept; one subfolder for each size and edition of the theatre.
        seeds: one clip is drawn for each.
        frame_count: frames in each clip.
        width: frame width in pixels.
        height: frame height in pixels.
        scenery: what the scenes look like.
        workers: processes that draw.
        on_progress: is called with (clips that are there, clips in all).

    Raises:
        OutputError: they cannot be written.
    """
    folder = folder / f"{width}x{height}x{frame_count}-edition-{EDITION}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    paths = {seed: _clip_path(seed, folder, scenery) for seed in seeds}
    missing = [seed for seed, path in paths.items() if not path.exists()]
    store = partial(
        _store_clip,
        folder=folder,
        frame_count=frame_count,
        width=width,
        height=height,
        scenery=scenery,
    )
    there = len(paths) - len(missing)
    on_progress(there, len(paths))
    # Forking a process in which torch has threads can leave the child waiting for ever.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_begin_worker
    ) as executor:
        for done, _ in enumerate(executor.map(store, missing, chunksize=4), start=there + 1):
            on_progress(done, len(paths))
    return [_open_clip(path) for path in paths.values()]

"""The videos of an archive: found in a folder, by a pattern, in a manifest or an object store."""

import glob
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from fsspec.utils import get_protocol
from natsort import natsorted

from pipeline.errors import InputError
from pipeline.file_names import printable
from pipeline.frames import VIDEO_SUFFIXES
from pipeline.picture_files import IMAGE_SUFFIXES, list_images

_MANIFEST_SUFFIXES = (".csv", ".parquet")
_VIDEO_COLUMN = "video"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVideo:
    """A video of an archive.

    Attributes:
        name: path below the archive without its suffix, parts divided by `/`; the set of a
            video is `DEST/NAME.annset`.
        address: local path, or address that fsspec opens.
        size: in bytes.
        modified: when it was last changed, as the store says it; only compared, never computed
            with.
        problem: why it cannot be annotated, a sentence; None if nothing is known against it.
    """

    name: str
    address: str
    size: int
    modified: str
    problem: str | None = None


def source_place(source: str) -> str:
    """Return what a source is called from wherever a command is started."""
    return source if "://" in source else absolute(source)


def absolute(path: str) -> str:
    """Return a path as it is from wherever it is named; links are not followed."""
    return os.path.normpath(Path(path).absolute())


def find_videos(source: str) -> list[FoundVideo]:
    """Find the videos of an archive, in natural order.

    Args:
        source: a folder, which is searched with all its subfolders; one video; a pattern such as
            `ops/2026-*/*.mp4`; a CSV or Parquet file with a column `video` of paths, also of
            folders of frames, or addresses; or an address of fsspec, such as
            `s3://bucket/operations`.

    Returns:
        The videos; those with a `problem` cannot be annotated: what a manifest lists is not there,
        a folder cannot be read, or two videos would have one set.

    Raises:
        InputError: the source does not exist or holds no videos by its kind, cannot be reached or
            read, or leads out of itself.
    """
    try:
        found = list(_found(source))
    except PermissionError as error:
        raise InputError(_closed(Path(error.filename or source), error)) from error
    # What cannot be annotated takes no name from what can.
    in_order = natsorted(found, key=lambda video: (video.name, video.problem is not None))
    return list(_with_distinct_names(in_order))


def _found(source: str) -> Iterator[FoundVideo]:
    """Return the videos of a source of whichever kind."""
    if "://" in source:
        return _in_store(source)
    if Path(source).is_dir():
        return _in_folder(Path(source))
    if Path(source).suffix.lower() in _MANIFEST_SUFFIXES:
        return _in_manifest(Path(source))
    if _is_video(Path(source)):
        return iter([_local(Path(source), Path(source).stem)])
    if glob.has_magic(source):
        return _by_pattern(Path(source))
    what = "is neither a video nor a manifest" if Path(source).exists() else "does not exist"
    raise InputError(
        f"{source} {what}; give a folder, a pattern in quotes, a CSV or Parquet file "
        "or an address such as s3://bucket/folder"
    )


def _in_folder(folder: Path) -> Iterator[FoundVideo]:
    unreadable: list[OSError] = []
    for path in _files_below(folder, unreadable.append):
        yield from _video_at(path, path.relative_to(folder))
    for error in unreadable:
        place = Path(error.filename)
        yield _unusable(
            place.relative_to(folder).as_posix() if place != folder else place.resolve().name,
            place,
            _closed(place, error),
        )


def _video_at(path: Path, relative: Path) -> Iterator[FoundVideo]:
    """Yield the video that a file is, if it is one, whether or not it can be looked at.

    Args:
        path: the file.
        relative: the same below the archive, after which its set is called.
    """
    name = relative.with_suffix("").as_posix()
    try:
        if not _is_hidden(relative) and _is_video(path):
            yield _local(path, name)
    except FileNotFoundError:
        # What a recorder moves away in this moment is no longer there to be annotated.
        return
    # A link may lead where this user must not look; that is no reason to leave out the others.
    except OSError as error:
        yield _unusable(name, path, _closed(path, error))


def _closed(place: Path, error: OSError) -> str:
    return f"{printable(str(place))} cannot be read ({error.strerror}); let this user read it"


def folders_of_pictures(source: str) -> list[Path]:
    """Return the folders of an archive that hold pictures alone, which may be frames of a video.

    Others than those in a manifest are not annotated: pictures may as well be masks or exports.
    """
    if "://" in source or not Path(source).is_dir():
        return []
    suffixes: dict[Path, set[str]] = defaultdict(set)
    for path in _files_below(Path(source), lambda _: None):
        if not _is_hidden(path.relative_to(source)):
            suffixes[path.parent].add(path.suffix.lower())
    pictures = set(IMAGE_SUFFIXES)
    return natsorted(folder for folder, found in suffixes.items() if found <= pictures)


def _files_below(folder: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders, also of linked ones.

    A link back into the folder is not followed: what it leads to is found where it lies.
    """
    top = folder.resolve()
    searched = set()
    for parent, subfolders, files in os.walk(folder, onerror=on_error, followlinks=True):
        place = Path(parent)
        leads_back = place != folder and place.is_symlink() and place.resolve().is_relative_to(top)
        if leads_back or place.resolve() in searched:
            subfolders.clear()
            continue
        searched.add(place.resolve())
        yield from (place / name for name in files)


def _by_pattern(pattern: Path) -> Iterator[FoundVideo]:
    fixed = list(takewhile(lambda part: not glob.has_magic(part), pattern.parts))
    folder = Path(*fixed)
    try:
        matching = list(folder.glob(str(pattern.relative_to(folder))))
    except ValueError as error:
        raise InputError(f"{pattern} is no pattern ({error}); write it as ops/**/*.mp4") from error
    for path in matching:
        yield from _video_at(path, path.relative_to(folder))


def _is_hidden(relative: PurePosixPath | Path) -> bool:
    """Return whether a path is of a hidden file or folder, such as an upload that goes on."""
    return any(part.startswith(".") for part in relative.parts if part != "..")


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def _local(path: Path, name: str) -> FoundVideo:
    """Describe a video file, or a folder of frames, of this machine.

    A link to a file keeps its name, after which the set is called.
    """
    found = [file.stat() for file in (list_images(path) if path.is_dir() else [path])]
    return FoundVideo(
        name=printable(name),
        address=printable(str(path.parent.resolve() / path.name)),
        size=sum(status.st_size for status in found),
        modified=str(max(status.st_mtime_ns for status in found)),
    )


def _in_manifest(path: Path) -> Iterator[FoundVideo]:
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the path of a manifest or a folder")
    table = _read_table(path)
    if table.column_names.count(_VIDEO_COLUMN) != 1:
        raise InputError(
            f"{path} has no column {_VIDEO_COLUMN!r}, or several; name the one of paths so"
        )
    folder = path.resolve().parent
    for entry in _entries(table, path):
        is_address = "://" in entry
        # Unlike `Path.resolve` it also takes links that lead around in a circle.
        video = Path(os.path.realpath(folder / entry))
        leaves = _is_of_this_machine(entry) if is_address else not video.is_relative_to(folder)
        if leaves:
            raise InputError(
                f"{path} lists {entry}, which lies outside its folder; move the manifest above "
                "all its videos"
            )
        if is_address:
            yield from _in_store(entry)
            continue
        relative = video.relative_to(folder)
        try:
            yield _listed(video, relative, f"{path} lists {entry}")
        except OSError as error:
            name = relative.with_suffix("").as_posix()
            closed = _closed(Path(error.filename or video), error)
            yield _unusable(name, video, f"{path} lists {entry}; {closed}")


def _listed(video: Path, relative: Path, row: str) -> FoundVideo:
    """Return what a manifest lists, which may be none that can be annotated.

    Args:
        video: a file or a folder of frames.
        relative: the same below the manifest's folder.
        row: names manifest and entry in what is said of it.

    Raises:
        OSError: it cannot be looked at.
    """
    if video.is_dir():
        if list_images(video):
            return _local(video, relative.as_posix())
        problem = f"{row}, a folder without JPEG or PNG frames; list its videos"
        return _unusable(relative.as_posix(), video, problem)
    name = relative.with_suffix("").as_posix()
    if video.is_file():
        return _local(video, name)
    return _unusable(name, video, f"{row}, which does not exist; remove that row")


def _entries(table: pa.Table, path: Path) -> Iterator[str]:
    """Yield the paths and addresses of a manifest's rows, each once."""
    known = set()
    for number, value in enumerate(table[_VIDEO_COLUMN].to_pylist(), start=1):
        entry = _text_of(value)
        if not entry or "\0" in entry:
            raise InputError(
                f"{path} has no readable path in row {number} of {_VIDEO_COLUMN!r}; write it as "
                "UTF-8 text"
            )
        if entry not in known:
            known.add(entry)
            yield entry


def _text_of(value: object) -> str:
    """Return what a manifest's row says; nothing if it is no text."""
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            return value.decode()
    return value if isinstance(value, str) else ""


def _unusable(name: str, path: Path, problem: str) -> FoundVideo:
    return FoundVideo(
        name=printable(name), address=printable(str(path)), size=0, modified="", problem=problem
    )


def _is_of_this_machine(address: str) -> bool:
    """Return whether an address of fsspec leads to files that no manifest may name so.

    A chain of addresses, such as `simplecache::file:///...`, may lead to any.
    """
    return "::" in address or get_protocol(address) in ("file", "local")


def _read_table(path: Path) -> pa.Table:
    try:
        if path.suffix.lower() == ".csv":
            # Case numbers and dates are names of folders here, and neither numbers nor dates.
            as_it_is = pyarrow.csv.ConvertOptions(column_types={_VIDEO_COLUMN: pa.binary()})
            return pyarrow.csv.read_csv(path, convert_options=as_it_is)
        return pyarrow.parquet.read_table(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path} is not a readable table; write it again") from error


def _in_store(address: str) -> Iterator[FoundVideo]:
    try:
        store, root = fsspec.core.url_to_fs(address)
        entries = store.find(root, detail=True)
        exists = bool(entries) or store.exists(root)
    # Each kind of store raises errors of its own kind.
    except Exception as error:
        raise unreachable(address, error) from error
    if not exists:
        raise InputError(f"{address} does not exist; check the address")
    for path, details in entries.items():
        if PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES:
            inside = PurePosixPath(path.removeprefix(root).lstrip("/") or PurePosixPath(path).name)
            if ".." in inside.parts:
                raise InputError(
                    f"{store.unstrip_protocol(path)} has a name that leads out of the archive; "
                    "rename it"
                )
            if _is_hidden(inside):
                continue
            yield FoundVideo(
                name=inside.with_suffix("").as_posix(),
                address=store.unstrip_protocol(path),
                size=int(details["size"] or 0),
                modified=_modified(details),
            )


def _modified(details: dict[str, Any]) -> str:
    tags = (details.get(key) for key in ("ETag", "etag", "LastModified", "mtime", "created"))
    return str(next((tag for tag in tags if tag is not None), ""))


def unreachable(address: str, error: Exception) -> InputError:
    """Return what to tell a user when a store cannot be read."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(
        f"{address} cannot be read ({reason}); check the address, the network and the credentials"
    )


def _with_distinct_names(videos: Iterable[FoundVideo]) -> Iterator[FoundVideo]:
    """Let the first video of a name have it; one more is called after its file, and not annotated.

    What is listed twice is one video.
    """
    known: dict[str, FoundVideo] = {}
    for video in videos:
        first = known.setdefault(video.name, video)
        if first is video:
            yield video
        elif first.address != video.address:
            name = f"{video.name}{PurePosixPath(video.address).suffix}"
            problem = (
                f"{video.address} would have the same set as {first.address}; rename one of them"
            )
            if known.setdefault(name, video) is video:
                yield replace(video, name=name, problem=problem)

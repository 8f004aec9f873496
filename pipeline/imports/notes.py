"""What of a set an export held, as it was noted there; other tools may have dropped the note."""

import json
import zipfile
import zlib
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from pipeline.exports.notes import NOTE_FILE, NOTE_KEY, Note
from pipeline.imports.coco import find_file
from pipeline.imports.cvat import open_xml
from pipeline.imports.json_entries import json_entries


def read_note(path: Path, format_name: str, video: str) -> Note | None:
    """Return what was noted of a video when it was exported.

    Args:
        path: the corrected file or folder.
        format_name: a key of `IMPORTERS`.
        video: the name of the video.

    Returns:
        None where nothing is noted, or nothing can be read: the import itself says what is wrong.

    Raises:
        InputError: the folder holds another number of files than one, or the zip file none to read.
    """
    try:
        return Note.model_validate(_READERS[format_name](path)[video])
    # What other tools write is of any kind.
    except (
        OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RuntimeError,
        ParseError, DefusedXmlException, zipfile.BadZipFile, zlib.error,
    ):  # fmt: skip
        return None


def _of_coco(path: Path) -> Any:
    return json.loads(find_file(path).read_bytes())["info"][NOTE_KEY]


def _of_cvat(path: Path) -> Any:
    with open_xml(path) as file:
        elements = (element for _, element in iterparse(file))
        head = takewhile(lambda element: element.tag not in ("meta", "track"), elements)
        texts = (element.text for element in head if element.tag == NOTE_KEY)
        return json.loads(next(texts, None) or "{}")


def _of_davis(path: Path) -> Any:
    return json.loads((path / NOTE_FILE).read_bytes())


def _of_label_studio(path: Path) -> Any:
    notes: dict[str, Any] = {}
    for task in json_entries(path):
        notes |= task["data"].get(NOTE_KEY) or {}
    return notes


_READERS: dict[str, Callable[[Path], Any]] = {
    "coco": _of_coco,
    "cvat": _of_cvat,
    "davis": _of_davis,
    "label-studio": _of_label_studio,
}

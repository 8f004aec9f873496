"""Reads a list in a JSON file entry by entry, since that of a long video does not fit in memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import ijson

# All entries of a piece stand in memory.
_PIECE = 1 << 16


def json_entries(path: Path) -> Iterator[Any]:
    """Yield the entries of a JSON file that is one list.

    Args:
        path: the file, in UTF-8, UTF-16 or UTF-32, as `json.loads` takes it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or no list.
    """
    try:
        with _opened(path) as file:
            kind, _ = next(ijson.basic_parse(ijson.from_iter(_pieces(file))))
            if kind != "start_array":
                raise ValueError("it is no list")
        with _opened(path) as file:
            yield from ijson.items(ijson.from_iter(_pieces(file)), "item", use_float=True)
    except ijson.JSONError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _opened(path: Path) -> TextIO:
    with path.open("rb") as start:
        encoding = json.detect_encoding(start.read(4))
    return path.open(encoding=encoding)


def _pieces(file: TextIO) -> Iterator[bytes]:
    """Yield the text in the encoding that the parser takes."""
    while piece := file.read(_PIECE):
        yield piece.encode()

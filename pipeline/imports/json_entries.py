"""Reads a list in a JSON file entry by entry, since that of a long video does not fit in memory."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

_PIECE = 1 << 20
_BEHIND_VALUES = tuple(",] \t\n\r")
_SPACE = re.compile(r"[ \t\n\r]*")


def json_entries(path: Path) -> Iterator[Any]:
    """Yield the entries of a JSON file that is one list.

    Args:
        path: the file, in UTF-8, UTF-16 or UTF-32, as `json.loads` takes it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or no list.
    """
    with path.open("rb") as start:
        encoding = json.detect_encoding(start.read(4))
    with path.open(encoding=encoding, errors="surrogatepass") as file:
        text = _Text(file)
        text.pass_over("[")
        if text.next_mark() != "]":
            yield text.value()
            while text.next_mark() != "]":
                text.pass_over(",")
                yield text.value()
        text.pass_over("]")
        if text.next_mark():
            raise ValueError("something follows its list")


class _Text:
    """Holds as much of a file's text as the value needs that is being read."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._place = 0

    def next_mark(self) -> str:
        """Pass over white space; returns the character behind it, nothing at the end."""
        while True:
            space = _SPACE.match(self._text, self._place)
            self._place = space.end() if space else self._place
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._read_on():
                return ""

    def pass_over(self, mark: str) -> None:
        found = self.next_mark()
        if found != mark:
            raise ValueError(f"{mark} was expected, {found or 'the end of the file'} found")
        self._place += 1

    def value(self) -> Any:
        self.next_mark()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
            except ValueError:
                # It may be that only a part of it has been read.
                if not self._read_on():
                    raise
                continue
            # A number may go on where the text ends, or behind its point.
            if self._text[end : end + 1] in _BEHIND_VALUES or not self._read_on():
                self._place = end
                return value

    def _read_on(self) -> bool:
        """Read the next piece, and drop what was passed over; returns whether there is one."""
        left = self._text[self._place :]
        # As much again as is left, so that a long entry is not begun anew too often.
        piece = self._file.read(max(_PIECE, len(left)))
        if piece:
            self._text, self._place = left + piece, 0
        return bool(piece)

"""How long a Matroska file (`.mkv`, `.webm`) says that it is.

A decoder takes half a file for a shorter video. The layout is that of RFC 8794 (EBML) and RFC 9559.
"""

from pathlib import Path

_HEADER, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
# A header is a few dozen bytes; the numbers before the segment fit in here.
_LOOKED_AT = 4096


def declared_bytes(path: Path) -> int | None:
    """Return how many bytes a file says that it has at least.

    Returns:
        None if it is no Matroska file, or says nothing: recorders write the number at the end.
    """
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    if not start.startswith(_HEADER):
        return None
    header, place = _number(start, len(_HEADER))
    segment = place + (header or 0)
    if header is None or start[segment : segment + len(_SEGMENT)] != _SEGMENT:
        return None
    length, place = _number(start, segment + len(_SEGMENT))
    return None if length is None else place + length


def _number(content: bytes, place: int) -> tuple[int | None, int]:
    """Read a number of variable length; returns it, None if it is unknown, and where it ends."""
    first = content[place] if place < len(content) else 0
    width = 9 - first.bit_length()
    number = int.from_bytes(content[place : place + width], "big") & ((1 << 7 * width) - 1)
    is_unknown = width > 8 or number == (1 << 7 * width) - 1
    return (None if is_unknown else number), place + width

"""Names that people list with commas between them."""

from collections.abc import Collection


def listed_names(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the names in a list; a known name may have commas of its own.

    Args:
        text: names with commas between them.
        known: the names that may be meant; others are returned as they are.
    """
    parts = text.split(",") if text else []
    names: list[str] = []
    while parts:
        lengths = range(len(parts), 0, -1)
        length = next((n for n in lengths if ",".join(parts[:n]).strip() in known), 1)
        names.append(",".join(parts[:length]).strip())
        parts = parts[length:]
    return tuple(names)

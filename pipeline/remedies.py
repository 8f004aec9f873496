"""What a user can do about a file that cannot be written, by what the system says of it."""

import errno
from pathlib import Path

from pipeline.errors import OutputError

_REMEDIES = {
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
    errno.EROFS: "let this user write there",
    # A folder is wanted where a file is.
    errno.ENOTDIR: "move the file away that is in the place of its folder",
    errno.EEXIST: "move the file away that is in the place of its folder",
    errno.ENAMETOOLONG: "shorten its name",
    errno.EIO: "check the disk",
    errno.ENOENT: "check the path",
}


def remedy(error_number: int | None, otherwise: str = "choose another --out") -> str:
    """Return what to do about a file that cannot be written, such as `free space or ...`.

    Args:
        error_number: what the system says; libraries that say nothing could not write all, as on
            a full disk.
        otherwise: what helps in any case.
    """
    return f"{_REMEDIES.get(error_number or 0, 'free space')} or {otherwise}"


def unwritable(path: Path, error: OSError, otherwise: str = "choose another --out") -> OutputError:
    """Return what is said of a file or folder that cannot be written.

    Args:
        path: the file or folder.
        error: why.
        otherwise: what helps in any case.
    """
    reason = error.strerror or error
    return OutputError(f"{path} cannot be written ({reason}); {remedy(error.errno, otherwise)}")

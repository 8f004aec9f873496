"""Make an installed detectron2 importable, or say how to install it.

`make detectron2` installs release 0.6 without its compiled operators, which Mask R-CNN does not
use, since those that it needs are torchvision's. detectron2 from its repository (0.6 and later
commits), compiled, needs none of this and is left as it is.
"""

import sys
from importlib.util import find_spec
from types import ModuleType

import PIL.Image

from pipeline.errors import ModelError

_OPERATORS = "detectron2._C"


def require_detectron2() -> None:
    """Prepare the import of detectron2; to be called before `overseer.detectron2` is imported.

    Raises:
        ModelError: it is not installed.
    """
    if find_spec("detectron2") is None:
        raise ModelError(
            "detectron2 is not installed; run `make detectron2`, or choose another --backbone"
        )
    if _OPERATORS not in sys.modules and find_spec(_OPERATORS) is None:
        sys.modules[_OPERATORS] = ModuleType(_OPERATORS)
    # Release 0.6 names it in a default argument; Pillow 10 took the name away.
    if not hasattr(PIL.Image, "LINEAR"):
        setattr(PIL.Image, "LINEAR", PIL.Image.Resampling.BILINEAR)  # noqa: B010

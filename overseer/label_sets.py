"""The classes of public data sets, which networks that others have published know."""

from pipeline.labels import CADIS, LabelSet, numbered_class, voc_color

CADIS_TISSUES = 7
CADIS_IGNORED = 255
# CaDIS' kinds of instruments, each with the values that it has in the raw masks.
CADIS_VALUES: dict[str, tuple[int, ...]] = {
    "Cannula": (7, 8, 10, 20, 27, 32),
    "Cap. cystotome": (9, 22),
    "Tissue forceps": (11, 33),
    "Primary knife": (12, 28),
    "Ph. handpiece": (13, 21),
    "Lens injector": (14, 24),
    "I/A handpiece": (15, 18),
    "Secondary knife": (16, 23),
    "Micromanipulator": (17,),
    "Cap. forceps": (19,),
}
_CADIS_PARTS = (
    "Hydro. cannula", "Visc. cannula", "Cap. cystotome", "Rycroft cannula", "Bonn forceps",
    "Primary knife", "Ph. handpiece", "Lens injector", "I/A handpiece", "Secondary knife",
    "Micromanipulator", "I/A handle", "Cap. forceps", "R. cannula handle", "Ph. handle",
    "Cystotome handle", "Sec. knife handle", "Lens injector handle",
)  # fmt: skip


def _cadis_with(name: str, instruments: tuple[str, ...]) -> LabelSet:
    things = (
        numbered_class(number, text, color=voc_color(number + 1))
        for number, text in enumerate(instruments, CADIS_TISSUES)
    )
    classes = (*CADIS.classes[:CADIS_TISSUES], *things)
    return LabelSet(name=name, classes=classes, ignored_values=(CADIS_IGNORED,))


CADIS_TYPES = _cadis_with("CaDIS, experiment II", tuple(CADIS_VALUES))
"""CaDIS' experiment II: 7 tissues and 10 kinds of instruments."""

CADIS_PARTS = _cadis_with("CaDIS, experiment III", _CADIS_PARTS)
"""CaDIS' experiment III: 7 tissues and 18 instruments and handles."""

CATARACT1K_TISSUES = ("Cornea", "Pupil", "Lens")
_CATARACT1K_INSTRUMENTS = (
    "Slit Knife", "Gauge", "Capsulorhexis Cystotome", "Spatula", "Phacoemulsification Tip",
    "Irrigation-Aspiration", "Lens Injector", "Incision Knife", "Katena Forceps",
    "Capsulorhexis Forceps",
)  # fmt: skip
CATARACT1K = LabelSet(
    name="Cataract-1K",
    classes=tuple(
        numbered_class(number, name, "stuff" if name in CATARACT1K_TISSUES else "thing")
        for number, name in enumerate((*CATARACT1K_TISSUES, *_CATARACT1K_INSTRUMENTS), 1)
    ),
)
"""The 3 tissues and 10 instruments of Cataract-1K."""

"""Coded terms for classes: SNOMED CT where pydicom's tables have one, else a code of our own."""

import re
from dataclasses import dataclass

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from pipeline.labels import LabelClass

OWN_SCHEME = "99SCOPELINE"
"""Designator of codes that stand for a class's id and name; 99 marks private schemes."""

_SCT = codes.SCT
_ANATOMY = {
    "liver": _SCT.Liver,
    "gallbladder": _SCT.Gallbladder,
    "hepatic vein": _SCT.HepaticVein,
    "liver ligament": _SCT.Ligament,
    "small intestine": _SCT.SmallIntestine,
    "kidney parenchyma": _SCT.Kidney,
    "covered kidney": _SCT.Kidney,
    "uterus": _SCT.Uterus,
    "iris": _SCT.Iris,
    "cornea": _SCT.Cornea,
    "skin": _SCT.Skin,
    "hand": _SCT.Hand,
    "spleen": _SCT.Spleen,
    "stomach": _SCT.Stomach,
    "colon": _SCT.Colon,
    "omentum": _SCT.Omentum,
}
_TISSUES = {"fat": _SCT.AdiposeTissue, "connective tissue": _SCT.ConnectiveTissue}
_SUBSTANCES = {"blood": _SCT.Blood}
_OBJECTS = {"thread": _SCT.Suture, "suturing needle": _SCT.Needle}
# Classes that are one region, as anatomical structures are, but no part of anybody.
_OBJECTS_WITHOUT_TERM = ("surgical tape",)
_CATEGORIES = (
    (_SCT.AnatomicalStructure, _ANATOMY),
    (_SCT.Tissue, _TISSUES),
    (_SCT.BodySubstance, _SUBSTANCES),
    (_SCT.PhysicalObject, _OBJECTS),
)
# Words in the names of the data sets' instruments.
_INSTRUMENT = re.compile(
    r"\b(instrument|tool|grasper|forceps|hook|bipolar|scissors|clipper|irrigator|snare|cannula|"
    r"knife|handpiece|handle|cystotome|injector|micromanipulator|spatula|gauge|probe|ligasure|"
    r"phacoemulsification|irrigation|electrocautery|trocar|stapler|shaft|clasper|wrist|"
    r"needle driver|sealer|retractor|clamp)s?\b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedClass:
    """What a class is, in coded terms.

    Attributes:
        category: what kind of thing it is, such as anatomical structure.
        type: which one, such as liver.
    """

    category: Code
    type: Code


def short_text(text: str) -> str:
    """Return text that a DICOM long string can hold: 64 characters, no backslash, no control."""
    return re.sub(r"[\\\x00-\x1f\x7f]", " ", text)[:64].strip() or "unnamed"


def coded_class(label: LabelClass) -> CodedClass:
    """Return the coded terms of a class, by its name.

    An instrument of any kind is coded as an instrument; its name stays in the segment's label. A
    class without a term gets a code of our own, `99SCOPELINE`, with its name as the meaning.
    """
    name = re.sub(r"[-_ ]+", " ", label.name.lower()).strip()
    for category, types in _CATEGORIES:
        if name in types:
            return CodedClass(category=category, type=types[name])
    if _INSTRUMENT.search(name):
        return CodedClass(category=_SCT.PhysicalObject, type=_SCT.InstrumentDevice)
    own = Code(f"class-{label.id}", OWN_SCHEME, short_text(label.name))
    is_object = label.kind == "thing" or name in _OBJECTS_WITHOUT_TERM
    return CodedClass(
        category=_SCT.PhysicalObject if is_object else _SCT.AnatomicalStructure, type=own
    )

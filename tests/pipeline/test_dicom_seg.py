"""DICOM Segmentations and their images, read back by pydicom and highdicom's own reader."""

from dataclasses import replace
from io import BytesIO

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.sr.codedict import codes
from pydicom.uid import SegmentationStorage, VLEndoscopicImageStorage

from overseer.datasets.endovis17 import ENDOVIS17, ENDOVIS17_PARTS
from overseer.label_sets import CADIS_PARTS, CADIS_TYPES, CATARACT1K
from pipeline.annotation_set import AnnotationSet
from pipeline.exports import Selection, export
from pipeline.exports.dicom_codes import OWN_SCHEME, coded_class
from pipeline.exports.dicom_images import image_header, put_pixels
from pipeline.frames import open_video
from pipeline.labels import CADIS, CHOLECSEG8K, LabelSet, numbered_class
from pipeline.masks import decode_mask
from pipeline.records import Origin
from tests.conftest import annotated_frame, rectangle, write_set

SIZE = (64, 96)
GRASPER = rectangle(4, 4, 14, 30, SIZE)
# Two parts, one with a hole.
LIVER = rectangle(50, 10, 80, 60, SIZE) & ~rectangle(60, 20, 70, 30, SIZE)
LIVER |= rectangle(88, 2, 94, 8, SIZE)
SPECK = rectangle(0, 60, 1, 61, SIZE)


@pytest.fixture
def annotated(small_video, labels):
    by_machine = annotated_frame(3, t3_c2=LIVER)
    frames = [
        annotated_frame(0, t3_c2=LIVER, t7_c1=GRASPER),
        annotated_frame(1),
        annotated_frame(2, t7_c1=GRASPER, t8_c1=SPECK),
        replace(by_machine, tracks=(replace(by_machine.tracks[0], origin=Origin.HUMAN),)),
    ]
    return AnnotationSet(
        write_set(small_video.parent / "small.annset", small_video, labels, frames)
    )


def written(annotated, path, **options):
    export(Selection(annotation_set=annotated, **options), "dicom-seg", path)
    return path


def segments(dataset):
    """Masks by tracking id, as the standard says: a frame names its segment by number."""
    pixels = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    tracks = {item.SegmentNumber: item.TrackingID for item in dataset.SegmentSequence}
    (shared,) = dataset.SharedFunctionalGroupsSequence
    found = {}
    for group, mask in zip(dataset.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        # What is the same in all frames may stand in the shared group.
        place = group if "SegmentIdentificationSequence" in group else shared
        number = place.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[tracks[number]] = mask > 0
    return found


def test_masks_come_back_pixel_for_pixel(annotated, tmp_path):
    folder = written(annotated, tmp_path / "dicom")
    names = {path.name for path in (folder / "segmentations").iterdir()}
    assert names == {"00000.dcm", "00002.dcm", "00003.dcm"}
    for frame in annotated.frames():
        if not frame.tracks:
            continue
        dataset = pydicom.dcmread(folder / "segmentations" / f"{frame.index:05d}.dcm")
        assert dataset.SOPClassUID == SegmentationStorage
        found = segments(dataset)
        assert set(found) == {f"track {track.track_id}" for track in frame.tracks}
        for track in frame.tracks:
            assert np.array_equal(found[f"track {track.track_id}"], decode_mask(track.rle))


def test_highdicom_finds_the_masks_by_the_image(annotated, tmp_path):
    folder = written(annotated, tmp_path / "dicom")
    image = pydicom.dcmread(folder / "images" / "00000.dcm")
    found = highdicom.seg.segread(folder / "segmentations" / "00000.dcm")
    pixels = found.get_pixels_by_source_instance([image.SOPInstanceUID])
    assert pixels.shape == (1, *SIZE, 2)
    assert np.array_equal(pixels[0, ..., 0], LIVER)
    assert np.array_equal(pixels[0, ..., 1], GRASPER)
    liver, grasper = (found.get_segment_description(number) for number in (1, 2))
    assert liver.segmented_property_type == codes.SCT.Liver
    assert liver.segmented_property_category == codes.SCT.AnatomicalStructure
    assert grasper.segmented_property_type == codes.SCT.InstrumentDevice
    assert (liver.segment_label, grasper.segment_label) == ("Liver", "Grasper")


def test_a_track_keeps_its_uid_and_what_a_human_drew_is_manual(annotated, tmp_path):
    folder = written(annotated, tmp_path / "dicom", images="none")
    uids = {}
    kinds = {}
    for path in (folder / "segmentations").iterdir():
        for item in pydicom.dcmread(path).SegmentSequence:
            uids.setdefault(item.TrackingID, set()).add(item.TrackingUID)
            kinds[path.stem, item.TrackingID] = item.SegmentAlgorithmType
            made_by = item.get("SegmentationAlgorithmIdentificationSequence", ())
            names = [algorithm.AlgorithmName for algorithm in made_by]
            assert names == ([] if item.SegmentAlgorithmType == "MANUAL" else ["Scopeline"])
    assert {name: len(found) for name, found in uids.items()} == {
        "track 3": 1,
        "track 7": 1,
        "track 8": 1,
    }
    assert len(set.union(*uids.values())) == 3
    assert kinds["00000", "track 3"] == "AUTOMATIC"
    assert kinds["00003", "track 3"] == "MANUAL"


@pytest.mark.parametrize(("images", "tolerance"), [("png", 0), ("jpeg", 4)])
def test_pictures_are_endoscopic_images(annotated, tmp_path, images, tolerance):
    folder = written(annotated, tmp_path / "dicom", images=images)
    (batch,) = open_video(annotated.path.parent / "small.mp4").batches(8, 4)
    assert len(list((folder / "images").iterdir())) == 4
    for index, true in enumerate(batch.images):
        dataset = pydicom.dcmread(folder / "images" / f"{index:05d}.dcm")
        assert dataset.SOPClassUID == VLEndoscopicImageStorage
        assert (dataset.PatientName, dataset.PatientID, dataset.InstanceNumber) == (
            "",
            "",
            index + 1,
        )
        found = dataset.pixel_array.astype(int)
        assert np.abs(found - true).max() <= tolerance


def all_uids(folder):
    found = {}
    for path in sorted(folder.rglob("*.dcm")):
        for element in pydicom.dcmread(path).iterall():
            if element.VR == "UI":
                found.setdefault((path.relative_to(folder), element.keyword), []).append(
                    element.value
                )
    return found


def test_the_same_export_has_the_same_uids_and_another_has_others(annotated, tmp_path):
    first = written(annotated, tmp_path / "first")
    again = written(annotated, tmp_path / "again")
    other = written(annotated, tmp_path / "other", classes=("Liver",))
    assert all_uids(first) == all_uids(again)
    place = (pydicom.dcmread(first / "segmentations" / "00000.dcm").SOPInstanceUID,
             pydicom.dcmread(other / "segmentations" / "00000.dcm").SOPInstanceUID)  # fmt: skip
    assert len(set(place)) == 2
    seen = [
        uids[0] for (_, keyword), uids in all_uids(first).items() if keyword == "SOPInstanceUID"
    ]
    assert len(set(seen)) == len(seen) == 7


def test_references_lead_to_the_images(annotated, tmp_path):
    folder = written(annotated, tmp_path / "dicom")
    images = {
        pydicom.dcmread(path).SOPInstanceUID: path.name for path in (folder / "images").iterdir()
    }
    for path in (folder / "segmentations").iterdir():
        dataset = pydicom.dcmread(path)
        (reference,) = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
        assert images[reference.ReferencedSOPInstanceUID] == path.name
        image = pydicom.dcmread(folder / "images" / path.name)
        assert dataset.StudyInstanceUID == image.StudyInstanceUID
        assert dataset.SeriesInstanceUID != image.SeriesInstanceUID


def test_names_in_other_scripts_come_through(small_video, labels, tmp_path):
    name = "Gefäß \\ 血管"
    vessel = LabelSet(name="vessel", classes=(numbered_class(1, name),))
    frames = [annotated_frame(0, t7_c1=GRASPER)]
    path = write_set(tmp_path / "vessel.annset", small_video, vessel, frames)
    folder = written(AnnotationSet(path), tmp_path / "dicom", images="none")
    (segment,) = pydicom.dcmread(folder / "segmentations" / "00000.dcm").SegmentSequence
    assert segment.SegmentLabel == "Gefäß   血管"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Gefäß   血管"


def test_pictures_outside_the_body_are_blank_in_dicom_too(annotated, small_video, labels, tmp_path):
    frames = [replace(annotated_frame(index), flags=("out_of_body",)) for index in range(4)]
    path = write_set(tmp_path / "outside.annset", small_video, labels, frames)
    kept = written(AnnotationSet(path), tmp_path / "kept")
    blank = written(AnnotationSet(path), tmp_path / "blank", out_of_body="blank")
    assert pydicom.dcmread(kept / "images" / "00003.dcm").pixel_array.mean() > 40
    assert pydicom.dcmread(blank / "images" / "00003.dcm").pixel_array.max() == 0
    assert all_uids(kept) != all_uids(blank)


def test_terms_are_snomed_ct_where_there_is_one():
    terms = {label.name: coded_class(label) for label in CHOLECSEG8K.foreground}
    assert terms["Fat"].type == codes.SCT.AdiposeTissue
    assert terms["Fat"].category == codes.SCT.Tissue
    assert terms["L-hook electrocautery"].type == codes.SCT.InstrumentDevice
    assert terms["Blood"].category == codes.SCT.BodySubstance
    assert terms["Cystic duct"].type.scheme_designator == OWN_SCHEME
    assert terms["Cystic duct"].type.meaning == "Cystic duct"
    cadis = {label.name: coded_class(label).type for label in CADIS.foreground}
    assert cadis["Cornea"] == codes.SCT.Cornea
    assert cadis["Surgical tape"].scheme_designator == OWN_SCHEME


@example("x" * 65)
@example("x" * 63 + " y")
@example(" ")
@given(st.text(min_size=1, max_size=80).filter(str.isprintable))
def test_every_name_has_terms_that_dicom_can_hold(name):
    term = coded_class(numbered_class(12, name)).type
    assert 1 <= len(term.value) <= 16
    assert 1 <= len(term.meaning.strip()) == len(term.meaning) <= 64


def test_terms_of_organs_and_things():
    """Names as the data sets have them: EndoVis 2018's, whose words are joined, too."""
    for name, kind, value, category in (
        ("Hepatic vein", "stuff", "8993003", "Anatomical Structure"),
        ("Liver ligament", "stuff", "52082005", "Anatomical Structure"),
        ("kidney-parenchyma", "stuff", "64033007", "Anatomical Structure"),
        ("covered-kidney", "stuff", "64033007", "Anatomical Structure"),
        ("small-intestine", "stuff", "30315005", "Anatomical Structure"),
        ("Connective tissue", "stuff", "21793004", "Tissue"),
        ("thread", "thing", "27065002", "Physical object"),
        ("suturing-needle", "thing", "79068005", "Physical object"),
        ("clamps", "thing", "57134006", "Physical object"),
        ("Eye retractors", "stuff", "57134006", "Physical object"),
        ("Surgical tape", "stuff", "class-3", "Physical object"),
        ("Stool", "thing", "class-3", "Physical object"),
        ("Cystic duct", "stuff", "class-3", "Anatomical Structure"),
    ):
        term = coded_class(numbered_class(3, name, kind))
        assert (term.type.value, term.category.meaning) == (value, category), name


@pytest.mark.parametrize(
    "labels",
    [CHOLECSEG8K, CADIS_TYPES, CADIS_PARTS, CATARACT1K, ENDOVIS17, ENDOVIS17_PARTS],
    ids=lambda labels: labels.name,
)
def test_every_instrument_of_the_public_data_sets_is_coded_as_one(labels):
    coded = {label.name: coded_class(label) for label in labels.classes if label.kind == "thing"}
    # Nobody knows what it is.
    coded.pop("Other", None)
    assert {term.type.value for term in coded.values()} == {codes.SCT.InstrumentDevice.value}
    assert {term.category.value for term in coded.values()} == {codes.SCT.PhysicalObject.value}


def test_private_codes_are_marked_as_private():
    """PS3.16, 8.2: designators of schemes that nobody registered begin with 99."""
    assert coded_class(numbered_class(1, "Bile")).type.scheme_designator.startswith("99")
    assert len(OWN_SCHEME) <= 16


@pytest.mark.parametrize("images", ["png", "jpeg"])
def test_an_image_has_what_the_standard_demands(annotated, tmp_path, images):
    """As highdicom knows it: a value in each attribute of type 1, and all those of type 2."""
    folder = written(annotated, tmp_path / "dicom", images=images)
    dataset = pydicom.dcmread(folder / "images" / "00002.dcm")
    modules = get_iod_module_map()["vl-endoscopic-image"]
    for module in (module["key"] for module in modules if module["usage"] == "M"):
        for attribute in get_module_attribute_map()[module]:
            if not attribute["path"] and attribute["type"] in ("1", "2"):
                assert attribute["keyword"] in dataset, attribute
            if not attribute["path"] and attribute["type"] == "1":
                assert dataset[attribute["keyword"]].value not in ("", None), attribute
    assert dataset.Modality == "ES"
    assert dataset.ImageComments == "frame 2, 0.080 s"
    # The video has lost something, also where its frames are stored as they are.
    assert dataset.LossyImageCompression == "01"
    assert list(dataset.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert dataset.PatientOrientation in ("", None)


@pytest.mark.parametrize("compressed", [True, False])
def test_colours_come_back_and_a_jpeg_is_what_its_header_says(annotated, compressed):
    selection = Selection(annotation_set=annotated)
    header = image_header(selection, next(selection.frames()))
    # An odd number of bytes.
    header.Rows, header.Columns = 15, 17
    image = np.zeros((15, 17, 3), np.uint8)
    image[:, :8], image[:, 8:] = (220, 30, 20), (20, 40, 200)
    put_pixels(header, image, compressed=compressed)
    content = BytesIO()
    header.save_as(content, enforce_file_format=True)
    content.seek(0)
    dataset = pydicom.dcmread(content)
    assert (dataset["PixelData"].VR, len(dataset.PixelData) % 2) == ("OB", 0)
    found = dataset.pixel_array.astype(int)
    assert np.abs(found - image)[:, [2, 14]].max() <= (12 if compressed else 0)
    if compressed:
        jpeg = get_frame(dataset.PixelData, 0)
        with Image.open(BytesIO(jpeg)) as picture:
            # Twice as many columns of light as of colour, as YBR_FULL_422 says.
            assert [layer[1:3] for layer in picture.layer] == [(2, 1), (1, 1), (1, 1)]
        assert dataset.LossyImageCompressionMethod == "ISO_10918_1"
        assert dataset.LossyImageCompressionRatio == pytest.approx(765 / len(jpeg), abs=0.01)


def test_each_choice_of_what_is_exported_is_a_series_of_its_own(annotated, tmp_path):
    """So that an archive takes none for another; but a track is the same in all of them."""
    choices = {
        "all": {},
        "classes": {"classes": ("Liver",)},
        "area": {"min_area": 5},
        "png": {"images": "png"},
        "blank": {"out_of_body": "blank"},
    }
    first = {}
    for name, options in choices.items():
        folder = written(annotated, tmp_path / name, **options)
        first[name] = pydicom.dcmread(folder / "segmentations" / "00000.dcm")
        later = pydicom.dcmread(folder / "segmentations" / "00003.dcm")
        assert later.SeriesInstanceUID == first[name].SeriesInstanceUID
        assert (first[name].InstanceNumber, later.InstanceNumber) == (1, 4)
        pictures = [pydicom.dcmread(path) for path in (folder / "images").iterdir()]
        assert len({picture.SeriesInstanceUID for picture in pictures}) == 1
        assert {picture.SeriesNumber for picture in pictures} != {later.SeriesNumber}
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert len({dataset[keyword].value for dataset in first.values()}) == len(choices)
    assert len({dataset.SegmentSequence[0].TrackingUID for dataset in first.values()}) == 1
    assert len({dataset.StudyInstanceUID for dataset in first.values()}) == 1


def test_without_images_segmentations_refer_to_those_of_an_export_as_jpeg(annotated, tmp_path):
    alone = written(annotated, tmp_path / "alone", images="none")
    whole = written(annotated, tmp_path / "whole")
    assert {path.name for path in alone.iterdir()} == {"segmentations"}
    assert all_uids(alone) == {
        (path, keyword): uids
        for (path, keyword), uids in all_uids(whole).items()
        if path.parts[0] == "segmentations"
    }


def test_another_set_of_the_video_has_tracks_and_segmentations_of_its_own(
    annotated, small_video, labels, tmp_path
):
    other = write_set(
        tmp_path / "other.annset", small_video, labels, [annotated_frame(0, t3_c2=GRASPER)]
    )
    datasets = [
        pydicom.dcmread(
            written(each, tmp_path / name, images="none") / "segmentations" / "00000.dcm"
        )
        for name, each in (("mine", annotated), ("yours", AnnotationSet(other)))
    ]
    for read_uid in (
        lambda dataset: dataset.SegmentSequence[0].TrackingUID,
        lambda dataset: dataset.SOPInstanceUID,
        lambda dataset: dataset.SeriesInstanceUID,
    ):
        assert len({read_uid(dataset) for dataset in datasets}) == 2

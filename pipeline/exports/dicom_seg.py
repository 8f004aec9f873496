"""Export DICOM Segmentations by highdicom, one a frame, and the frames that they refer to.

highdicom takes no source of several frames that has no coordinate system ("Only a single frame
is supported when the source image has no Frame of Reference UID"), neither a multi-frame image
nor several images, and an endoscope has none. So each frame is an image with a segmentation of
its own; tracking UIDs say which segments are one object.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
from highdicom.seg import SegmentationTypeValues as SegmentationType
from pydicom import Dataset
from pydicom.sr.codedict import codes

from pipeline.exports.dicom_codes import CodedClass, coded_class, short_text
from pipeline.exports.dicom_images import image_header, put_pixels, stable_uid
from pipeline.exports.selection import Selection
from pipeline.masks import decode_mask
from pipeline.output import whole_folder
from pipeline.records import FrameAnnotation, Origin, TrackAnnotation

_MAKER = "Scopeline"


def export_dicom_seg(selection: Selection, path: Path) -> None:
    """Write `images/00000.dcm` and `segmentations/00000.dcm`, a segment for each track.

    Frames without tracks have an image alone, undecodable ones have neither. Pictures are JPEG, or
    exact with `--images png`; with `none` the images are left out, and the segmentations refer to
    those of an export as JPEG. All UIDs follow from the content: the same export again has the same
    ones.

    Raises:
        InputError: pictures are wanted, but the annotated video is gone or has changed.
        OutputError: the folder exists already or cannot be written.
    """
    writer = _Writer(selection)
    with whole_folder(path) as draft:
        (draft / "segmentations").mkdir()
        if selection.images != "none":
            (draft / "images").mkdir()
        for frame, image in selection.frames_to_learn_from():
            header = image_header(selection, frame)
            name = f"{selection.number(frame.index)}.dcm"
            if frame.tracks:
                writer.segmentation(header, frame).save_as(draft / "segmentations" / name)
            if image is not None:
                put_pixels(header, image, compressed=selection.images == "jpeg")
                header.save_as(draft / "images" / name, enforce_file_format=True)


class _Writer:
    """Makes the segmentations of a set."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._labels = {label.id: label for label in selection.labels}
        self._codes: dict[int, CodedClass] = {
            label.id: coded_class(label) for label in selection.labels
        }
        self._set = selection.annotation_set.fingerprint()
        # The same frame with other segments is another instance.
        self._content = (
            self._set,
            *selection.classes,
            selection.min_area,
            selection.images == "png",
            selection.out_of_body,
        )
        self._version = version("scopeline")

    def segmentation(self, header: Dataset, frame: FrameAnnotation) -> Segmentation:
        """Return the segmentation of a frame with one track at least."""
        masks = np.stack([decode_mask(track.rle) for track in frame.tracks], axis=-1)
        segmentation = Segmentation(
            [header],
            masks[None],
            SegmentationType.BINARY,
            [self._segment(number, track) for number, track in enumerate(frame.tracks, start=1)],
            series_instance_uid=stable_uid(*self._content, "segmentations"),
            series_number=2,
            sop_instance_uid=stable_uid(*self._content, "segmentation", frame.index),
            instance_number=frame.index + 1,
            manufacturer=_MAKER,
            manufacturer_model_name=_MAKER,
            software_versions=self._version,
            device_serial_number="0",
            content_description=f"Frame {frame.index}",
            series_description="Tracks",
        )
        self._settle(segmentation)
        return segmentation

    def _segment(self, number: int, track: TrackAnnotation) -> SegmentDescription:
        by_hand = track.origin is Origin.HUMAN
        kinds = SegmentAlgorithmTypeValues
        return SegmentDescription(
            segment_number=number,
            segment_label=short_text(self._labels[track.class_id].name),
            segmented_property_category=self._codes[track.class_id].category,
            segmented_property_type=self._codes[track.class_id].type,
            algorithm_type=kinds.MANUAL if by_hand else kinds.AUTOMATIC,
            algorithm_identification=None if by_hand else self._algorithm(),
            tracking_id=f"track {track.track_id}",
            tracking_uid=stable_uid(self._set, "track", track.track_id),
        )

    def _algorithm(self) -> AlgorithmIdentificationSequence:
        return AlgorithmIdentificationSequence(
            name=_MAKER, family=codes.DCM.ArtificialIntelligence, version=self._version
        )

    def _settle(self, segmentation: Segmentation) -> None:
        """Replace the one UID that highdicom draws at random."""
        uid = stable_uid(*self._content, "dimensions")
        segmentation.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
        for dimension in segmentation.DimensionIndexSequence:
            dimension.DimensionOrganizationUID = uid

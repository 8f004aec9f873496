"""Frames of a video as DICOM VL Endoscopic Images, which segmentations can refer to.

highdicom, which writes the segmentations, makes no such images; pydicom does, attribute by
attribute, as PS3.3 A.32.1 lists them.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    VLEndoscopicImageStorage,
    generate_uid,
)

from pipeline.exports.pictures import encoded_picture
from pipeline.exports.selection import Selection
from pipeline.records import FrameAnnotation


def stable_uid(*parts: object) -> UID:
    """Return the UID that stands for some facts; the same facts have the same UID."""
    return generate_uid(entropy_srcs=["scopeline", *map(str, parts)])


def image_header(selection: Selection, frame: FrameAnnotation) -> Dataset:
    """Return a frame as a VL Endoscopic Image without its pixels.

    Nothing says who the patient is: name and number are empty, as type 2 attributes may be.
    """
    video = selection.annotation_set.manifest.video
    # The same frame with other pixels is another instance.
    content = ("png" if selection.images == "png" else "jpeg", selection.out_of_body)
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID = VLEndoscopicImageStorage
    header.SOPInstanceUID = stable_uid(video.sha256, "image", *content, frame.index)
    header.StudyInstanceUID = stable_uid(video.sha256, "study")
    header.SeriesInstanceUID = stable_uid(video.sha256, "images", *content)
    for keyword in (
        "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate",
        "StudyTime", "AccessionNumber", "ReferringPhysicianName", "Manufacturer",
        "PatientOrientation",
    ):  # fmt: skip
        setattr(header, keyword, "")
    header.Modality = "ES"
    header.SeriesNumber = 1
    header.SeriesDescription = "Video frames"
    header.InstanceNumber = frame.index + 1
    header.ImageComments = f"frame {frame.index}, {frame.time_s:.3f} s"
    header.ImageType = ["ORIGINAL", "PRIMARY"]
    header.AcquisitionContextSequence = []
    header.Rows, header.Columns = selection.size
    header.SamplesPerPixel = 3
    header.PlanarConfiguration = 0
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit = 7
    header.PixelRepresentation = 0
    # A video has lost something already, however its frames are stored now.
    header.LossyImageCompression = "01"
    return header


def put_pixels(header: Dataset, image: NDArray[np.uint8], *, compressed: bool) -> None:
    """Store a picture uint8[H, W, 3], RGB, in an image: as JPEG, or exactly."""
    if not compressed:
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.PhotometricInterpretation = "RGB"
        header.PixelData = image.tobytes()
        return
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422)
    jpeg = encoded_picture(image, ".jpg", sampling)
    header.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    header.PhotometricInterpretation = "YBR_FULL_422"
    header.LossyImageCompressionRatio = round(image.size / len(jpeg), 2)
    header.LossyImageCompressionMethod = "ISO_10918_1"
    header.PixelData = encapsulate([jpeg])

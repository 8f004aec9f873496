"""The report of a training, read as its HTML: what is found, mixed up and missed."""

import base64
import re

import cv2
import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from overseer.training_report import write_training_report
from pipeline.labelled_clip import IGNORED, LabelledClip
from pipeline.records import Detections
from tests.conftest import rectangle
from tests.pipeline.test_report import CHROMIUM, QUIET

LEFT, RIGHT = rectangle(4, 4, 20, 28), rectangle(28, 4, 44, 28)
GRASPER, LIVER, HOOK = 1, 2, 3


def frame(brightness, *objects):
    track_map = np.zeros((32, 48), np.uint8)
    for track_id, (_, mask) in enumerate(objects, start=1):
        track_map[mask] = track_id
    return LabelledClip(
        images=np.full((1, 32, 48, 3), brightness, np.uint8),
        track_maps=track_map[None],
        class_of_track={number: of for number, (of, _) in enumerate(objects, start=1)},
    )


class Scripted:
    """An overseer that finds on a frame of a brightness what it is told."""

    def __init__(self, label_set, **found):
        self.label_set = label_set
        self._found = {int(name[1:]): objects for name, objects in found.items()}

    def detect(self, images):
        return [self._detections(self._found.get(int(image[0, 0, 0]), [])) for image in images]

    @staticmethod
    def _detections(objects):
        return Detections.from_masks(
            class_ids=np.array([of for of, _ in objects], np.int64),
            scores=np.full(len(objects), 0.9, np.float32),
            masks=np.array([mask for _, mask in objects], bool).reshape(-1, 32, 48),
        )


CLIPS = [
    frame(10, (GRASPER, LEFT), (LIVER, RIGHT)),
    frame(20, (GRASPER, LEFT)),
    frame(30, (GRASPER, RIGHT)),
]
NAMES = ["first.png", "second.png", "third.png"]


@pytest.fixture
def page(tmp_path, labels_with_hook):
    """Right on the first frame, a hook for a grasper on the second, nothing on the third."""
    overseer = Scripted(labels_with_hook, b10=[(GRASPER, LEFT), (LIVER, RIGHT)], b20=[(HOOK, LEFT)])
    path = tmp_path / "report.html"
    write_training_report(overseer, CLIPS, NAMES, path, title="tool-overseer", learned_from=False)
    return path


def test_each_class_has_its_objects_and_its_precision(page):
    text = page.read_text()
    rows = re.findall(
        r"<tr><td>(\w+)</td><td class=\"number\">(\d+)</td>\s*"
        r"<td class=\"number\">([\d.]+)</td><td class=\"number\">([\d.]+)</td>",
        text,
    )
    # One grasper of three is found: COCO's precision is 1 up to a recall of 1/3.
    assert rows == [("Grasper", "3", "0.337", "0.337"), ("Liver", "1", "1.000", "1.000")]
    assert "it learned from" not in text


def test_where_nothing_is_found_the_plot_says_so(page, tmp_path, labels_with_hook):
    # matplotlib draws letters as outlines, and names them in a comment.
    said = "<!-- nothing was found -->"
    assert said not in page.read_text("utf-8")
    path = tmp_path / "blind.html"
    blind = Scripted(labels_with_hook)
    write_training_report(blind, CLIPS, NAMES, path, title="blind", learned_from=False)
    assert path.read_text("utf-8").count(said) == 1


def test_the_worst_frames_come_first_and_are_pictures(page):
    text = page.read_text()
    order = re.findall(r"(\w+\.png): mean IoU ([\d.]+)", text)
    assert order == [("second.png", "0.00"), ("third.png", "0.00"), ("first.png", "1.00")]
    urls = re.findall(r"data:image/jpeg;base64,([\w+/=]+)", text)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(urls[0]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[:2] == (32, 96)


def test_what_is_found_where_the_labels_are_open_does_not_count(tmp_path, labels_with_hook):
    clip = frame(10, (GRASPER, LEFT))
    clip.track_maps[0][RIGHT] = IGNORED
    overseer = Scripted(labels_with_hook, b10=[(GRASPER, LEFT), (LIVER, RIGHT)])
    path = tmp_path / "report.html"
    write_training_report(overseer, [clip], ["open.png"], path, title="open", learned_from=False)
    text = path.read_text()
    assert re.findall(r"open\.png: mean IoU ([\d.]+)", text) == ["1.00"]
    # Of the confusion, a comment beside each text says what it is: here a single count.
    assert re.findall(r"<!-- (\d+) -->", text.split("<svg")[2]) == ["1"]


def test_it_says_when_it_is_measured_on_what_was_learned(tmp_path, labels_with_hook):
    path = tmp_path / "report.html"
    overseer = Scripted(labels_with_hook)
    write_training_report(overseer, CLIPS, NAMES, path, title="blind", learned_from=True)
    text = path.read_text()
    assert "on the frames that it learned from" in text
    assert ">0.000</td>" in text


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_the_confusion_is_drawn_in_a_page_that_opens_without_errors(page):
    errors = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        tab = browser.new_page()
        tab.on("console", lambda message: errors.append(message.text))
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(page.as_uri())
        assert tab.locator("svg").count() == 2
        assert tab.locator("figure img").evaluate_all(
            "pictures => pictures.every(picture => picture.naturalWidth > 0)"
        )
        browser.close()
    assert errors == []

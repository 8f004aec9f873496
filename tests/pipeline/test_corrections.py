"""Sets of corrections, and the sets that they correct."""

import json
from pathlib import Path

import pytest

from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.writer import AnnotationSetWriter, new_manifest
from pipeline.corrections.corrected_set import (
    deletions_of,
    is_of_corrections,
    open_corrections,
    settings_after,
    write_corrections,
)
from pipeline.errors import InputError
from pipeline.mask_folder import open_masks
from tests.conftest import annotated_frame, rectangle

MASK = rectangle(4, 4, 14, 14)


def write(path, clip_info, labels, count=3, **settings):
    with AnnotationSetWriter(path, new_manifest(clip_info, labels, settings=settings)) as writer:
        for index in range(count):
            writer.add(annotated_frame(index, t1_c1=MASK))
    return AnnotationSet(path)


@pytest.fixture
def corrected(tmp_path, clip_info, labels):
    return write(tmp_path / "clip.annset", clip_info, labels)


def change_manifest(annotated, change):
    path = annotated.path / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def changes(corrected, tmp_path):
    frames = [annotated_frame(1, t1_c1=MASK)]
    path = tmp_path / "fixed.annset"
    return write_corrections(path, frames, corrected, Path("fixed.json"))


def test_corrections_find_what_they_correct(corrected, tmp_path):
    written = changes(corrected, tmp_path)
    assert is_of_corrections(written)
    assert not is_of_corrections(corrected)
    assert open_corrections(written.path).corrected.path == corrected.path.resolve()


def test_corrections_are_no_truth_and_nothing_to_judge(corrected, tmp_path, scopeline):
    """What the annotator left as it was has no mask in them, what was deleted an empty one."""
    written = changes(corrected, tmp_path)
    with pytest.raises(InputError, match=r"fixed.annset holds corrections alone; take them over"):
        open_masks(written.path)
    for judged, truth in ((written, corrected), (corrected, written)):
        code, _, err = scopeline("evaluate", judged.path, "--truth", truth.path)
        assert code == 1
        assert "fixed.annset holds corrections alone" in err


def test_unfinished_corrections_are_not_taken_over(corrected, tmp_path):
    written = changes(corrected, tmp_path)
    change_manifest(written, lambda document: document.update(state="running"))
    with pytest.raises(InputError, match="not a finished set of corrections"):
        open_corrections(written.path)


def test_corrections_that_do_not_say_of_what_are_refused(corrected, tmp_path):
    written = changes(corrected, tmp_path)
    change_manifest(written, lambda document: document["settings"].update(corrects={"set": "a"}))
    with pytest.raises(InputError, match="not a finished set of corrections"):
        open_corrections(written.path)


def test_an_unfinished_set_is_not_corrected(corrected, tmp_path):
    change_manifest(corrected, lambda document: document.update(state="running"))
    written = changes(AnnotationSet(corrected.path), tmp_path)
    with pytest.raises(InputError, match="is not complete"):
        open_corrections(written.path)


def test_a_changed_set_is_not_corrected(corrected, tmp_path):
    written = changes(corrected, tmp_path)
    change_manifest(corrected, lambda document: document.update(failure="?"))
    with pytest.raises(InputError, match="has changed since"):
        open_corrections(written.path)


def test_a_set_is_the_same_however_its_folder_is_listed(tmp_path, clip_info, labels, monkeypatch):
    annotated = write(tmp_path / "long.annset", clip_info, labels, 201)
    before = annotated.fingerprint()
    listed = Path.glob
    for order in (sorted, lambda found: sorted(found, reverse=True)):
        monkeypatch.setattr(Path, "glob", lambda *of, order=order: iter(order(listed(*of))))
        assert annotated.fingerprint() == before


def test_the_last_corrections_say_what_is_deleted(corrected, tmp_path, clip_info, labels):
    corrections = open_corrections(changes(corrected, tmp_path).path)
    settings = settings_after(corrections, {7: {4: range(2, 6)}})
    later = write(tmp_path / "later.annset", clip_info, labels, **settings)
    assert deletions_of(corrected) == {}
    assert deletions_of(later) == {7: {4: range(2, 6)}}
    (tmp_path / "fixed.annset").rename(tmp_path / "first.annset")
    again = open_corrections(changes(later, tmp_path).path)
    last = write(
        tmp_path / "last.annset", clip_info, labels, **settings_after(again, {8: {0: range(1)}})
    )
    assert deletions_of(last) == {8: {0: range(1)}}
    assert ["deleted" in entry for entry in last.manifest.settings["corrected"]] == [False, True]


def test_deletions_that_cannot_be_read_are_said_to_be(tmp_path, clip_info, labels):
    damaged = write(tmp_path / "a.annset", clip_info, labels, corrected=[{"deleted": {"x": 3}}])
    with pytest.raises(InputError, match="no readable list of deletions"):
        deletions_of(damaged)

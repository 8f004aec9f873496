"""The report as a person opens it: from disk, in a browser."""

import shutil
from dataclasses import replace

import pytest

from pipeline import report
from pipeline.annotation_set import AnnotationSet
from pipeline.annotation_set.summary import summarize
from pipeline.records import PromptReason, PromptRecord
from pipeline.report import write_report
from tests.conftest import annotated_frame, rectangle, write_set
from tests.small_data import close_to_this_user

SIZE = (64, 96)
LEFT, RIGHT = rectangle(4, 4, 14, 30, SIZE), rectangle(50, 10, 80, 60, SIZE)
CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture
def annotated(small_video, labels):
    """A liver all along, a grasper that leaves and is corrected, a cut, two frames outside."""
    frames = [frame_of(index) for index in range(12)]
    return AnnotationSet(
        write_set(small_video.parent / "small.annset", small_video, labels, frames)
    )


def frame_of(index):
    tracks = {"t3_c2": RIGHT} if index < 10 else {}
    if index < 4 or 7 <= index < 10:
        tracks["t7_c1"] = LEFT
    frame = annotated_frame(index, **tracks)
    if index == 8:
        liver, grasper = frame.tracks
        frame = replace(frame, tracks=(replace(liver, quality=0.25), grasper))
    return replace(frame, flags=flags_of(index), prompts=prompts_of(index))


def flags_of(index):
    return ("cut", "out_of_body") if index == 10 else ("out_of_body",) if index == 11 else ()


def prompts_of(index):
    if index != 8:
        return ()
    drifted = PromptRecord(
        prompt_id=0, track_id=7, class_id=1, kind="mask", reason=PromptReason.DRIFTED, score=0.9
    )
    return (drifted,)


@pytest.fixture
def page(annotated, tmp_path):
    """The report in a browser, and what its console said."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium to open the report with")
    from playwright.sync_api import sync_playwright

    write_report(annotated, tmp_path / "report.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        opened = browser.new_page()
        opened.errors = []
        opened.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.on("console", lambda message: opened.errors.append(message.text))
        opened.on("request", lambda request: opened.errors.append(request.url)
                  if request.url.startswith("http") else None)  # fmt: skip
        opened.goto((tmp_path / "report.html").as_uri())
        yield opened
        browser.close()


def test_a_set_is_summed_up(annotated):
    summary = summarize(annotated)
    assert summary.tracks[7].runs == [(0, 3), (7, 9)]
    assert (summary.tracks[7].class_name, summary.tracks[7].frames) == ("Grasper", 7)
    assert summary.tracks[7].quality == 0.5
    assert summary.tracks[3].area_sum == 10 * RIGHT.sum()
    assert summary.cuts == [10]
    assert summary.bands == {"out_of_body": [(10, 11)], "black": []}
    assert summary.qualities == [0.5] * 8 + [0.375, 0.5] + [None] * 2


def test_the_page_opens_without_errors_or_network(page):
    assert page.errors == []
    assert page.title() == "small: Scopeline report"
    assert page.locator("rect.bar").count() == 3
    assert page.locator("#caption").inner_text() == "frame 0, 0.00 s"
    assert "Grasper" in page.locator("#classes").inner_text()


def test_a_click_on_a_bar_shows_that_frame(page):
    first = page.locator("#picture").get_attribute("src")
    row = page.locator("#timeline svg", has=page.locator("title", has_text="Grasper 7")).first
    box = row.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 8.5 / 12, box["y"] + box["height"] / 2)
    assert page.locator("#caption").inner_text() == "frame 8, 0.32 s"
    assert page.locator("#picture").get_attribute("src") != first
    assert page.errors == []


def test_the_caption_says_when_the_frame_is_shown(annotated, tmp_path):
    """Not when it would be at an even rate."""
    frames = [replace(frame, time_s=2.0 * frame.index + 1) for frame in annotated.frames()]
    video = annotated.path.parent / "small.mp4"
    later = write_set(tmp_path / "later.annset", video, annotated.label_set, frames)
    write_report(AnnotationSet(later), tmp_path / "later.html")
    assert '"8": 17.0' in (tmp_path / "later.html").read_text()


def test_a_click_on_a_doubtful_frame_shows_it(page):
    button = page.locator("button.frame").first
    assert button.inner_text() == "8"
    button.click()
    assert page.locator("#caption").inner_text() == "frame 8, 0.32 s"


def test_prompts_tell_their_reason(annotated, tmp_path):
    write_report(annotated, tmp_path / "report.html")
    assert "frame 8: drifted, score 0.90" in (tmp_path / "report.html").read_text()


def test_cuts_and_stretches_outside_are_drawn_once_over_all_tracks(page, annotated, tmp_path):
    text = (tmp_path / "report.html").read_text()
    assert text.count("cut at frame 10") == 1
    assert text.count("out of body: frames 10 to 11") == 1
    layer = page.locator("#timeline .marks").bounding_box()
    rows = [row.bounding_box() for row in page.locator("#timeline .tracks .row svg").all()]
    assert len(rows) == 2
    for row in rows:
        assert layer["x"] == pytest.approx(row["x"], abs=1)
        assert layer["width"] == pytest.approx(row["width"], abs=1)
        assert layer["y"] <= row["y"] + 1
        assert layer["y"] + layer["height"] >= row["y"] + row["height"] - 1


def test_a_set_without_tracks_shows_its_cuts(small_video, labels, tmp_path):
    frames = [replace(annotated_frame(index), flags=flags_of(index)) for index in range(12)]
    path = write_set(small_video.parent / "small.annset", small_video, labels, frames)
    write_report(AnnotationSet(path), tmp_path / "report.html")
    assert "cut at frame 10" in (tmp_path / "report.html").read_text()


def test_moments_that_were_left_out_are_told(annotated, tmp_path, monkeypatch):
    write_report(annotated, tmp_path / "all.html")
    assert "of 2 moments" not in (tmp_path / "all.html").read_text()
    monkeypatch.setattr(report, "_MOMENTS", 1)
    write_report(annotated, tmp_path / "first.html")
    text = (tmp_path / "first.html").read_text()
    assert "1 of 2 moments" in text
    assert "<figcaption>10: cut, outside the body</figcaption>" in text


def test_a_set_without_frames_has_a_report(small_video, labels, tmp_path):
    path = small_video.parent / "small.annset"
    write_report(AnnotationSet(write_set(path, small_video, labels, [])), tmp_path / "report.html")
    assert "0 frames of" in (tmp_path / "report.html").read_text()


def test_settings_that_say_nothing_are_left_out(small_video, labels, tmp_path):
    settings = {"policy": "sasvi", "without": [], "labels": None, "prompt_frames": [0]}
    path = small_video.parent / "small.annset"
    annotated = AnnotationSet(write_set(path, small_video, labels, [], settings=settings))
    write_report(annotated, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<td>policy</td><td>sasvi</td>" in page
    assert "<td>without</td>" not in page
    assert "<td>labels</td>" not in page
    # Without prompts, how they are taken says nothing.
    assert "<td>prompt-frames</td>" not in page


def test_how_given_prompts_are_taken_is_told(small_video, labels, tmp_path):
    settings = {"prompts": "masks", "prompt_frames": [0]}
    path = small_video.parent / "small.annset"
    annotated = AnnotationSet(write_set(path, small_video, labels, [], settings=settings))
    write_report(annotated, tmp_path / "report.html")
    assert "<td>prompt-frames</td><td>[0]</td>" in (tmp_path / "report.html").read_text()


def test_without_the_video_there_is_a_report_without_pictures(annotated, small_video, tmp_path):
    small_video.unlink()
    write_report(annotated, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "There are no pictures:" in text
    assert "data:image" not in text


def test_names_cannot_break_out_of_the_page(annotated, tmp_path):
    manifest = annotated.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"Grasper"', '"<script>alert(1)</script>"'))
    write_report(AnnotationSet(annotated.path), tmp_path / "report.html")
    assert "<script>alert(1)" not in (tmp_path / "report.html").read_text()


def test_the_command_says_where_the_report_is_and_what_was_redacted(scopeline, annotated):
    code, _, err = scopeline("report", annotated.path, "--redact-out-of-body")
    assert code == 0
    assert str(annotated.path.with_suffix(".html")) in err
    text = annotated.path.with_suffix(".html").read_text()
    assert "The pictures of 2 frames outside the body are blanked." in text
    code, _, err = scopeline("report", annotated.path)
    assert code == 1
    assert "exists already" in err


def test_the_frames_worth_labelling_are_exported(scopeline, annotated, tmp_path):
    code, _, err = scopeline(
        "export", annotated.path, "--format", "coco", "--out", tmp_path / "next",
        "--frames", "worth-labelling",
    )  # fmt: skip
    assert code == 0, err
    assert [path.name for path in (tmp_path / "next" / "images").iterdir()] == ["00008.jpg"]


def test_a_video_that_this_user_must_not_look_at_has_no_pictures(annotated, tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir()
    manifest = annotated.manifest
    video = manifest.video.model_copy(update={"path": str(closed / "small.mp4")})
    annotated.manifest = manifest.model_copy(update={"video": video})
    close_to_this_user(monkeypatch, closed)
    path = tmp_path / "closed.html"
    write_report(annotated, path)
    said = f"There are no pictures: {closed / 'small.mp4'} cannot be read (Permission denied)"
    assert said in path.read_text("utf-8")

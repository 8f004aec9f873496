"""Where there is no terminal to draw bars on, lines say now and then how far work is."""

from flows.frame_progress import spoken_progress


def test_a_line_each_minute_says_how_far_and_how_fast(capsys):
    times = iter([0.0, 10.0, 50.0, 70.0, 100.0, 130.0])
    note = spoken_progress("op.mp4", clock=lambda: next(times))
    # An earlier run has left 100 frames.
    for done in (101, 201, 221, 300, 341):
        note(done, 9000)
    assert capsys.readouterr().err.splitlines() == [
        "op.mp4: 221 of 9000 frames, 2.0 frames/s",
        "op.mp4: 341 of 9000 frames, 2.0 frames/s",
    ]

import torch

from tracking.memory import FrameMemory, MemoryBank, MemoryRule


def memory(frame_index, value=None):
    number = float(frame_index if value is None else value)
    return FrameMemory(
        frame_index=frame_index,
        features=torch.full((2, 3, 3), number, dtype=torch.bfloat16),
        pointer=torch.full((4,), number),
    )


def test_the_first_prompt_and_the_latest_three_stay():
    bank = MemoryBank()
    for frame in (0, 5, 10, 15, 20):
        bank[1].remember_prompted(memory(frame))
    assert [kept.frame_index for kept in bank[1].prompted] == [0, 10, 15, 20]


def test_tracked_frames_fall_out():
    bank = MemoryBank()
    bank[1].remember_prompted(memory(0))
    for frame in range(1, 40):
        bank[1].remember_tracked(memory(frame))
    gathered = bank.gather([1], 40)
    assert gathered.ages[0] == [0, 6, 5, 4, 3, 2, 1]
    assert gathered.pointer_ages[0].tolist() == [40, *range(15, 0, -1)]


def test_a_prompt_replaces_what_was_tracked_on_its_frame():
    bank = MemoryBank()
    bank[1].remember_prompted(memory(0))
    for frame in (1, 2):
        bank[1].remember_tracked(memory(frame))
    bank[1].remember_prompted(memory(2, value=9))
    gathered = bank.gather([1], 3)
    assert gathered.ages[0] == [0, 0, 1]
    assert [kept.features[0, 0, 0].item() for kept in gathered.memories[0]] == [0, 9, 1]
    assert gathered.pointer_ages[0].tolist() == [3, 1, 2]


def test_a_second_prompt_on_a_frame_takes_the_place_of_the_first():
    bank = MemoryBank()
    for frame, value in ((0, 1), (5, 2), (5, 3)):
        bank[1].remember_prompted(memory(frame, value))
    assert [kept.pointer[0].item() for kept in bank[1].prompted] == [1, 3]


def test_a_bank_of_last_prompts_knows_nothing_else():
    bank = MemoryBank()
    for track in (1, 2, 3):
        for frame in (0, 4):
            bank[track].remember_prompted(memory(frame, value=10 * track + frame))
        bank[track].remember_tracked(memory(5))
    last = bank.last_prompts([1, 3])
    assert last.track_ids == [1, 3]
    gathered = last.gather([1, 3], 6)
    assert gathered.pointers[..., 0].tolist() == [[14], [34]]
    assert gathered.pointer_ages.tolist() == [[2], [2]]
    # What the other one learns is no concern of the first.
    last[1].remember_prompted(memory(6))
    assert [kept.frame_index for kept in bank[1].prompted] == [0, 4]


def test_the_pointers_of_unequal_memories_are_padded():
    bank = MemoryBank()
    bank[1].remember_prompted(memory(0))
    for frame in range(1, 4):
        bank[1].remember_tracked(memory(frame))
    bank[2].remember_prompted(memory(3))
    gathered = bank.gather([1, 2], 4)
    assert [len(row) for row in gathered.memories] == [4, 1]
    assert gathered.pointer_counts == [4, 1]
    assert gathered.pointers[1, :, 0].tolist() == [3, 0, 0, 0]


def test_ending_a_track_leaves_the_others():
    bank = MemoryBank()
    bank[1].remember_prompted(memory(0))
    bank[2].remember_prompted(memory(0))
    bank.end(1)
    bank.end(1)
    assert bank.track_ids == [2]
    bank.clear()
    assert bank.track_ids == []


def test_memories_with_frames_left_out_are_as_old_as_their_rank():
    bank = MemoryBank()
    bank[1].remember_prompted(memory(0))
    for frame in (1, 2, 9):
        bank[1].remember_tracked(memory(frame))
    gathered = bank.gather([1], 20)
    assert gathered.ages[0] == [0, 3, 2, 1]
    # Pointers keep their true age, and go out of date.
    assert gathered.pointer_ages[0].tolist() == [20, 11]


def test_by_default_what_is_hidden_is_not_remembered():
    assert MemoryRule().keeps(0.5)
    assert not MemoryRule().keeps(0.49)
    assert MemoryRule(least_presence=0.0).keeps(0.0)

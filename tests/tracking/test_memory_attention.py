"""Reading memories, against the memory attention of the `sam2` package."""

import gc

import pytest
import torch
from sam2.modeling.sam2_utils import get_1d_sine_pe

import tracking.memory_keys
from tracking.memory import FrameMemory, MemoryBank
from tracking.memory_attention import MemoryReader, attend_to_memories
from tracking.memory_keys import KeysAndValues, coarse_places, rotated
from tracking.sam2_model import build_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = build_network("scopeline_small").eval()
    # What a new network adds for the age of a memory is next to nothing.
    torch.nn.init.normal_(network.maskmem_tpos_enc)
    return network


def remembered(bank, track_id, tracked_frames, seed=0):
    """Let a track have a prompt on frame 0 and memories of some frames after it."""
    random = torch.Generator().manual_seed(seed + track_id)
    for frame in (0, *tracked_frames):
        memory = FrameMemory(
            frame_index=frame,
            features=torch.randn(64, 16, 16, generator=random).to(torch.bfloat16),
            pointer=torch.randn(128, generator=random),
        )
        if frame:
            bank[track_id].remember_tracked(memory)
        else:
            bank[track_id].remember_prompted(memory)


def picture(seed=9):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(256, 1, 128, generator=random), torch.randn(256, 1, 128, generator=random)


@torch.inference_mode()
def read_by_the_package(network, bank, track_id, frame_index):
    """One track's memories, as `SAM2Base._prepare_memory_conditioned_features` lays them out."""
    memory = bank[track_id]
    kept = [*memory.prompted, *memory.recent]
    slots = [network.num_maskmem - 1, *range(len(memory.recent) - 1, -1, -1)]
    empty = torch.zeros(1, 64, 16, 16)
    place = network.memory_encoder.position_encoding(empty).flatten(2).permute(2, 0, 1)
    tokens = [one.features.float().flatten(1).T[:, None] for one in kept]
    positions = [place + network.maskmem_tpos_enc[slot] for slot in slots]
    pointers = torch.stack([kept[0].pointer, *(pointer for _, pointer in memory.pointers)])
    ages = torch.tensor([frame_index, *(frame_index - made for made, _ in memory.pointers)])
    sine = network.obj_ptr_tpos_proj(get_1d_sine_pe(ages / 15, dim=128))
    tokens.append(pointers.reshape(-1, 1, 64))
    positions.append(sine.repeat_interleave(2, 0)[:, None])
    current, position = picture()
    return network.memory_attention(
        curr=current,
        curr_pos=position,
        memory=torch.cat(tokens),
        memory_pos=torch.cat(positions),
        num_obj_ptr_tokens=2 * len(pointers),
    )


@torch.inference_mode()
def read(network, bank, frame_index=6, in_detail=None):
    reader = MemoryReader(network, CPU, in_detail)
    return reader.read(*picture(), bank.gather(bank.track_ids, frame_index))


@pytest.mark.parametrize("most_kept_bytes", [1 << 20, 0])
def test_tracks_with_unequal_memories_read_what_the_package_reads(
    network, monkeypatch, most_kept_bytes
):
    """Also where keys and values are too large to be kept."""
    monkeypatch.setattr(tracking.memory_keys, "_MOST_KEPT_BYTES", most_kept_bytes)
    bank = MemoryBank()
    remembered(bank, 1, range(1, 6))
    remembered(bank, 2, [])
    remembered(bank, 3, [2, 4])
    together = read(network, bank)
    for row, track_id in enumerate(bank.track_ids):
        alone = read_by_the_package(network, bank, track_id, 6)[:, 0]
        assert torch.allclose(together[:, row], alone, atol=2e-5)


def test_keys_without_a_position_encoding_are_honoured(network, monkeypatch):
    for layer in network.memory_attention.layers:
        monkeypatch.setattr(layer, "pos_enc_at_cross_attn_keys", False)
    bank = MemoryBank()
    remembered(bank, 1, range(1, 6))
    alone = read_by_the_package(network, bank, 1, 6)
    assert torch.allclose(read(network, bank), alone, atol=2e-5)


def test_room_is_taken_for_one_layer_at_a_time(network):
    bank = MemoryBank()
    for track_id in (1, 2):
        remembered(bank, track_id, range(1, 6))
    reader = MemoryReader(network, CPU)
    with torch.inference_mode():
        reader.read(*picture(), bank.gather([1, 2], 6))
    tokens = 6 * 256 + 6 * 2
    assert reader._room.numel() == 2 * 2 * tokens * 128


def test_what_one_frame_read_does_not_reach_the_next(network):
    bank, fewer = MemoryBank(), MemoryBank()
    for track_id in (1, 2):
        remembered(bank, track_id, range(1, 6))
    remembered(fewer, 3, [4])
    reader = MemoryReader(network, CPU)
    with torch.inference_mode():
        reader.read(*picture(), bank.gather([1, 2], 6))
        after = reader.read(*picture(), fewer.gather([3], 6))
    assert torch.equal(after, read(network, fewer))


def test_keys_and_values_are_forgotten_with_their_memory(network):
    bank = MemoryBank()
    remembered(bank, 1, range(1, 6))
    remembered(bank, 2, range(1, 4))
    reader = MemoryReader(network, CPU)
    with torch.inference_mode():
        reader.read(*picture(), bank.gather([1, 2], 6))
    assert len(reader._fine._kept) == 10
    bank.end(1)
    gc.collect()
    assert len(reader._fine._kept) == 4


def test_a_coarse_grid_has_the_mean_of_each_four_places():
    tokens = torch.arange(2 * 16 * 3.0).reshape(2, 16, 3)
    picture = tokens.reshape(2, 4, 4, 3).permute(0, 3, 1, 2)
    expected = torch.nn.functional.avg_pool2d(picture, 2).permute(0, 2, 3, 1).reshape(2, 4, 3)
    assert torch.allclose(coarse_places(tokens), expected)
    both = KeysAndValues(keys=tokens, values=-2 * tokens).coarse()
    assert torch.allclose(both.keys, expected)
    assert torch.allclose(both.values, -2 * expected)


@torch.inference_mode()
def test_what_is_read_coarsely_weighs_as_much_as_the_places_that_it_stands_for(network):
    layer = network.memory_attention.layers[0]
    current, position = (each.transpose(0, 1) for each in picture())
    random = torch.Generator().manual_seed(4)
    few = KeysAndValues(
        keys=torch.randn(2, 64, 128, generator=random),
        values=torch.randn(2, 64, 128, generator=random),
    )
    many = KeysAndValues(
        keys=few.keys.repeat_interleave(4, 1), values=few.values.repeat_interleave(4, 1)
    )
    one = torch.randn(2, 1, 128, generator=random)
    beside = [
        KeysAndValues(keys=torch.cat([each.keys, one], 1), values=torch.cat([each.values, one], 1))
        for each in (few, many)
    ]
    weights = torch.cat([torch.full((2, 64), 4.0).log(), torch.zeros(2, 1)], 1)
    coarsely = attend_to_memories(layer, current, position, beside[0], weights)
    in_detail = attend_to_memories(layer, current, position, beside[1], None)
    assert torch.allclose(coarsely, in_detail, atol=1e-5)


@pytest.mark.parametrize("most_kept_bytes", [1 << 20, 0])
def test_older_memories_can_be_read_coarsely(network, monkeypatch, most_kept_bytes):
    monkeypatch.setattr(tracking.memory_keys, "_MOST_KEPT_BYTES", most_kept_bytes)
    bank = MemoryBank()
    remembered(bank, 1, range(1, 6))
    remembered(bank, 2, [])
    remembered(bank, 3, [4])
    together = read(network, bank, in_detail=1)
    for row, track_id in enumerate(bank.track_ids):
        alone = MemoryBank()
        alone[track_id].remember_prompted(bank[track_id].prompted[0])
        for memory in bank[track_id].recent:
            alone[track_id].remember_tracked(memory)
        assert torch.allclose(together[:, row], read(network, alone, in_detail=1)[:, 0], atol=2e-5)
    in_detail = read(network, bank)
    # Prompts and the latest memory are read place by place; so only the first track differs.
    assert torch.allclose(together[:, 1:], in_detail[:, 1:], atol=2e-5)
    assert not torch.allclose(together[:, 0], in_detail[:, 0], atol=1e-3)
    assert torch.allclose(read(network, bank, in_detail=5), in_detail, atol=2e-5)


def test_what_is_read_coarsely_is_the_same_whether_it_is_kept_or_not(network, monkeypatch):
    bank = MemoryBank()
    remembered(bank, 1, range(1, 6))
    reader = MemoryReader(network, CPU, in_detail=1)
    with torch.inference_mode():
        kept = reader.read(*picture(), bank.gather([1], 6))
    # Of the prompt and the latest alone; the others' finer keys would be twice the room.
    assert len(reader._fine._kept) == 2
    monkeypatch.setattr(tracking.memory_keys, "_MOST_KEPT_BYTES", 0)
    assert torch.allclose(read(network, bank, in_detail=1), kept, atol=2e-5)


@torch.inference_mode()
def test_a_memory_that_is_the_latest_again_is_read_in_detail_again(network):
    bank = MemoryBank()
    remembered(bank, 1, range(1, 4))
    reader = MemoryReader(network, CPU, in_detail=1)
    reader.read(*picture(), bank.gather([1], 4))
    prompt = FrameMemory(
        frame_index=3,
        features=torch.zeros(64, 16, 16, dtype=torch.bfloat16),
        pointer=torch.zeros(128),
    )
    # It takes the place of what was tracked on its frame.
    bank[1].remember_prompted(prompt)
    again = reader.read(*picture(), bank.gather([1], 4))
    assert torch.equal(again, read(network, bank, 4, in_detail=1))


def test_what_was_read_while_nothing_learned_can_be_learned_through(network):
    cross = network.memory_attention.layers[0].cross_attn_image
    side = 6
    tokens = torch.randn(1, side * side, cross.internal_dim)
    with torch.inference_mode():
        rotated(cross, tokens)
    learned = tokens.clone().requires_grad_()
    rotated(cross, learned).square().sum().backward()
    assert learned.grad.abs().sum() > 0

"""A SAM-2 network from a configuration, with the `sam2` package's own parts."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.modeling.sam2_base import SAM2Base

# Official configurations in the sam2 package, by model name.
OFFICIAL_CONFIGS = {
    "sam2.1_hiera_tiny": "configs/sam2.1/sam2.1_hiera_t.yaml",
    "sam2.1_hiera_small": "configs/sam2.1/sam2.1_hiera_s.yaml",
    "sam2.1_hiera_base_plus": "configs/sam2.1/sam2.1_hiera_b+.yaml",
    "sam2.1_hiera_large": "configs/sam2.1/sam2.1_hiera_l.yaml",
}
SMALL_CONFIG = "scopeline_small"

# What the sam2 package's `build_sam2_video_predictor` also changes for inference, but for
# its hole filling, which needs a CUDA extension.
_INFERENCE_SETTINGS = {
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
}


def config_names() -> list[str]:
    """Return the names of all configurations that `build_network` knows."""
    return [SMALL_CONFIG, *OFFICIAL_CONFIGS]


@cache
def _read_config(name: str) -> Any:
    if name in OFFICIAL_CONFIGS:
        path = files("sam2") / OFFICIAL_CONFIGS[name]
    elif name == SMALL_CONFIG:
        path = files("tracking") / "configs" / f"{name}.yaml"
    else:
        raise ValueError(f"unknown SAM-2 configuration {name}; known are {config_names()}")
    return OmegaConf.load(Path(str(path))).model


def build_network(config_name: str, *, network_class: str | None = None) -> SAM2Base:
    """Build a SAM-2 network with random weights, in evaluation mode.

    Args:
        config_name: one of `config_names()`.
        network_class: full name of a subclass of `SAM2Base` to build instead.

    Raises:
        ValueError: the configuration is not known.
    """
    config = OmegaConf.merge(_read_config(config_name), _INFERENCE_SETTINGS)
    if network_class is not None:
        config._target_ = network_class
    network: SAM2Base = instantiate(config, _recursive_=True)
    return network.eval()


def normalize_images(images: torch.Tensor, image_size: int) -> torch.Tensor:
    """Bring RGB images to the size and value range that the networks were trained with.

    Args:
        images: uint8[N, H, W, 3], RGB.
        image_size: side of the network's square input in pixels.

    Returns:
        float32[N, 3, image_size, image_size], normalised with ImageNet's mean and
        standard deviation.
    """
    planes = images.permute(0, 3, 1, 2)
    if planes.shape[-2:] != (image_size, image_size):
        # On a CPU torch resizes bytes forty times as fast as floats, and is off by one level at
        # most; for other devices it only has floats.
        planes = torch.nn.functional.interpolate(
            planes if planes.is_cpu else planes.float(),
            (image_size, image_size),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )
    planes = planes.float() / 255
    mean = planes.new_tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1)
    std = planes.new_tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1)
    return (planes - mean) / std

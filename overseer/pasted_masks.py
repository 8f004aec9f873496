"""How torchvision's masks get from their boxes into the picture, wherever the network is."""

from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform


class PastedOnProcessor(GeneralizedRCNNTransform):
    """Brings pictures into a network as torchvision does, and what it found out to the processor.

    To paste a mask of 28 x 28 into a picture torchvision asks for some fifteen numbers, for each of
    which a GPU has to finish what it does; and whole pictures of masks would have to be moved
    afterwards instead of the small ones.
    """

    def postprocess(
        self,
        result: list[dict[str, Tensor]],
        image_shapes: list[tuple[int, int]],
        original_image_sizes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        """Return what was found in each picture, on the processor, at the picture's size."""
        fetched = [{name: found.cpu() for name, found in of_image.items()} for of_image in result]
        pasted: list[dict[str, Tensor]] = super().postprocess(
            fetched, image_shapes, original_image_sizes
        )
        return pasted

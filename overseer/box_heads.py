"""What the overseer makes of a region before it says which class it shows, and where."""

from torch import Tensor, nn


class WholeAndParts(nn.Module):
    """Two layers over the whole region, as in Faster R-CNN, and a look for parts in it.

    An instrument's class shows in its tip, which may lie anywhere in its box; the layers over the
    whole have weights of their own for each place, and must learn a tip anew for each. So the
    strongest answers of a convolution, wherever they are, are added to what the layers say.

    The layers have the names of torchvision's `TwoMLPHead`, and the parts add nothing at first, so
    that a network without them can be trained further.

    Args:
        channels: of the features.
        size: side of the pooled features of a region.
        hidden: length of the vectors that are given out.
    """

    def __init__(self, channels: int, size: int, hidden: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(channels * size**2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        answer = nn.Linear(channels // 2, hidden)
        nn.init.zeros_(answer.weight)
        nn.init.zeros_(answer.bias)
        self.parts = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
            answer,
        )

    def forward(self, regions: Tensor) -> Tensor:
        """Return vectors float32[R, hidden] of R regions.

        Args:
            regions: their features, float32[R, channels, size, size].
        """
        whole = self.fc7(self.fc6(regions.flatten(1)).relu()).relu()
        seen: Tensor = whole + self.parts(regions)
        return seen

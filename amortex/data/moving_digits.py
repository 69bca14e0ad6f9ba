"""Moving digits: clips in which one handwritten digit moves and another stands still."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from amortex.data.digits3d import DRAWING, digits_of

FRAMES, SIDE = 8, 24  # of a clip
SPEED = 1.5  # pixels per frame
FAINTEST = 0.4  # of the colours, per channel
POSES = 8  # of each digit in training
DIRECTIONS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}  # rows, columns


class MovingDigits:
    """Clips ``(3, 8, 24, 24)`` in [0, 1] (red, green and blue; frames, rows, columns), a function of their index.

    One digit moves up, down, left or right, which is the class; another one stands still. They may hide each other.
    Digits, places and colours are drawn at random: no single frame tells the class.

    Arguments:
        split: ``train`` or ``validation``: the digits that move, or stand still, are of one split of scikit-learn's.
        poses: clips in which each digit moves; by default 8 in training, 1 in validation.
        seed: of the clips.

    Raises:
        InputError: an unknown split; scikit-learn is not installed.

    References:
        N. Srivastava et al.: Unsupervised Learning of Video Representations using LSTMs, ICML 2015 (Moving MNIST).
    """

    def __init__(self, split: str = "train", poses: int | None = None, seed: int = 0) -> None:
        self.sources, self.drawings, _ = digits_of(split)
        self.split, self.seed = split, seed
        self.poses = poses or (POSES if split == "train" else 1)

    def __len__(self) -> int:
        return len(self.sources) * self.poses

    def label(self, index: int) -> int:
        """The direction of a clip, a place in `DIRECTIONS`."""
        return int(self._random(index).integers(len(DIRECTIONS)))

    def name(self, index: int) -> str:
        return f"{list(DIRECTIONS)[self.label(index)]}_{index:05d}"

    def open(self, index: int) -> Tensor:
        """The clip ``(3, 8, 24, 24)``."""
        moving, still, colours = self._layers(index)
        layers = np.stack([moving, still])[:, None] * colours.reshape(2, 3, 1, 1, 1)
        return torch.from_numpy(layers.max(0).astype(np.float32))

    def moving(self, index: int) -> Tensor:
        """Where the moving digit is, bool ``(8, 24, 24)``."""
        return torch.from_numpy(self._layers(index)[0] > 0)

    def _random(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.split == "validation", index))

    def _layers(self, index: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """The moving digit and the other, ``(8, 24, 24)`` each, and their colours ``(2, 3)``."""
        random = self._random(index)
        direction = np.array(list(DIRECTIONS.values())[random.integers(len(DIRECTIONS))])
        path = SPEED * np.arange(FRAMES)[:, None] * direction
        free = SIDE - DRAWING - np.abs(path[-1])
        start = random.random(2) * free - path.min(0)
        still = np.tile(random.random(2) * (SIDE - DRAWING), (FRAMES, 1))
        other = self.drawings[random.integers(len(self.drawings))]
        colours = random.uniform(FAINTEST, 1, (2, 3))
        drawing = self.drawings[index % len(self.drawings)]
        return placed(drawing, start + path), placed(other, still), colours


def placed(drawing: NDArray[Any], corners: NDArray[Any]) -> NDArray[Any]:
    """A drawing ``(8, 8)`` on frames of black, ``(N, 24, 24)``, where its upper left corners ``(N, 2)`` tell."""
    rows, columns = np.indices((SIDE, SIDE))
    places = np.stack([rows - corners[:, 0, None, None], columns - corners[:, 1, None, None]])
    frames: NDArray[Any] = map_coordinates(drawing, places, order=1, mode="grid-constant")
    return frames

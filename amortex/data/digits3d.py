"""3-D digits: handwritten digits as solid bodies in random poses, as 3D MNIST has them."""

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation
from torch import Tensor

from amortex.core.errors import InputError

SIDE = 16  # voxels
SCALE = 1.5  # voxels per pixel of the drawing, which has 8 x 8
HALF_DEPTH = 2.0  # voxels from the middle of a body to its front
ANGLES = (30.0, 40.0, 20.0)  # degrees at most about the axes of the columns, of the rows, and of the depth
SHIFT = 1.0  # voxels at most along each axis
HELD_OUT_SHARE = 0.2
POSES = 100  # of each digit in training
SPLIT_SEED, DIGITS = 0, 10
DRAWING = 8  # side of a drawing in pixels


class Digits3D:
    """Handwritten digits, extruded and rotated: volumes ``(1, 16, 16, 16)`` in [0, 1], a function of their index.

    The drawings are scikit-learn's 1,797 digits of 8 x 8 pixels. Each is in one of two splits, in all of its poses.

    Arguments:
        split: ``train`` or ``validation``, the digits that are held out of training.
        poses: of each digit; by default 100 in training, 1 in validation.
        seed: of the poses.

    Raises:
        InputError: an unknown split; scikit-learn is not installed.

    References:
        E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI 1998. The bodies are made as those of 3D
        MNIST (D. de la Iglesia Castro, Kaggle 2016).
    """

    def __init__(self, split: str = "train", poses: int | None = None, seed: int = 0) -> None:
        self.sources, self.drawings, self.labels = digits_of(split)
        self.split, self.seed = split, seed
        self.poses = poses or (POSES if split == "train" else 1)

    def __len__(self) -> int:
        return len(self.sources) * self.poses

    def label(self, index: int) -> int:
        """The digit that a volume shows."""
        return int(self.labels[index % len(self.sources)])

    def name(self, index: int) -> str:
        pose, place = divmod(index, len(self.sources))
        name = f"digit{self.labels[place]}_{self.sources[place]:04d}"
        return f"{name}#{pose}" if pose else name

    def open(self, index: int) -> Tensor:
        """The volume ``(1, 16, 16, 16)``, axes depth, rows and columns."""
        place = index % len(self.sources)
        random = np.random.default_rng((self.seed, self.split == "validation", index))
        angles, shift = random.uniform(-1, 1, 3) * ANGLES, random.uniform(-SHIFT, SHIFT, 3)
        return torch.from_numpy(extrude(self.drawings[place], angles, shift))[None]


def digits_of(split: str) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Handwritten digits of a split: their numbers ``(N,)``, drawings ``(N, 8, 8)`` in [0, 1], and labels ``(N,)``.

    Raises:
        InputError: an unknown split; scikit-learn is not installed.
    """
    if split not in ("train", "validation"):
        raise InputError(f"handwritten digits have the splits train and validation, not {split!r}")
    drawings, labels = _drawings()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    held_out = round(HELD_OUT_SHARE * len(labels))
    numbers = order[:held_out] if split == "validation" else order[held_out:]
    return numbers, drawings[numbers], labels[numbers]


def extrude(drawing: NDArray[Any], angles: NDArray[Any], shift: NDArray[Any]) -> NDArray[np.float32]:
    """A drawing ``(8, 8)`` in [0, 1] as a solid body ``(16, 16, 16)`` in [0, 1].

    Arguments:
        drawing: the front of the body.
        angles: degrees about the axes of the columns, of the rows, and of the depth.
        shift: of the body's centre from that of the volume, in voxels along depth, rows and columns.
    """
    centred = np.indices((SIDE,) * 3).reshape(3, -1).T - (SIDE - 1) / 2 - shift
    # where each voxel was before the turn; Rotation's axes are x, y, z, ours depth (z), rows (y), columns (x)
    x, y, z = Rotation.from_euler("xyz", angles, degrees=True).inv().apply(centred[:, ::-1]).T
    middle = (drawing.shape[0] - 1) / 2
    front = map_coordinates(drawing, (y / SCALE + middle, x / SCALE + middle), order=1, mode="grid-constant")
    inside = (HALF_DEPTH + 0.5 - np.abs(z)).clip(0, 1)  # fades over one voxel: no jagged faces
    body: NDArray[np.float32] = (front * inside).reshape((SIDE,) * 3).astype(np.float32)
    return body


@cache
def _drawings() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Drawings ``(1797, 8, 8)`` in [0, 1], and the digits that they show."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError("the handwritten digits belong to scikit-learn: pip install scikit-learn") from error
    digits = load_digits()
    return digits.images / 16, digits.target

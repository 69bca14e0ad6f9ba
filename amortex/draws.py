"""Random numbers that belong to an image, not to its batch.

Every image has a generator of its own, seeded by its pixels, the seed of the run and the name of the
stream ("optimise", "evaluate", ...). So the result for an image does not depend on the batch it travels in,
on how draws are chunked, or on the order of the images; and evaluation never sees the noise that an
optimiser saw.
"""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Fill = Callable[[Tensor, torch.Generator], object]


class Draws:
    """A stream of random numbers per image.

    Arguments:
        seeds: one seed per image.
        device: where the numbers are made (streams differ between device types).
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self.device = torch.device(device)
        self._buffer = torch.empty(0, device=self.device)

    @classmethod
    def of(cls, image: Tensor, seed: int = 0, stream: str = "optimise") -> "Draws":
        """Streams for each image of a batch ``(B, C, H, W)``; `seed` is the run's."""
        pixels = image.detach().float().cpu().contiguous()
        seeds = []
        for one in pixels:
            digest = hashlib.blake2b(one.numpy().tobytes(), key=f"{seed}/{stream}".encode(), digest_size=8)
            seeds.append(int.from_bytes(digest.digest(), "little") >> 1)
        return cls(seeds, image.device)

    def __len__(self) -> int:
        return len(self.generators)

    def fill(self, fill: Fill, images: slice, samples: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """The next `samples` draws of each of `images`: ``(B, samples, *shape)``.

        Each draw is filled on its own, so the numbers do not depend on how many are asked for at once.
        The buffer is reused by the next call: copy what must outlive it.
        """
        generators = self.generators[images]
        wanted = (len(generators), samples, *shape)
        if self._buffer.shape != wanted or self._buffer.dtype != dtype:
            self._buffer = torch.empty(wanted, dtype=dtype, device=self.device)
        for row, generator in zip(self._buffer, generators, strict=True):
            for draw in row:
                fill(draw, generator)
        return self._buffer

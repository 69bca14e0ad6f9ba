"""Random numbers that belong to an image, not to its batch.

Draw number n of an image comes from a generator seeded by the image's pixels, the seed of the run, the name of the
stream ("optimise", "evaluate", ...) and n. So the result for an image does not depend on the batch it travels in, on
how draws are chunked, or on the order of the images; and evaluation sees other noise than an optimiser saw (torch's CPU
generator takes 32 bits of a seed, so that among 100,000 draws about one is repeated).
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import torch
from torch import Tensor

Fill = Callable[[Tensor, torch.Generator], object]
EVALUATION_SEED = 12345
WORTH_THREADS = 2**15  # numbers per draw; below, handing a draw to a thread costs more than filling it


class NoiseStreams:
    """A stream of random numbers per image.

    Arguments:
        seeds: one seed per image.
        device: where the numbers are made (streams differ between device types).
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.seeds, self.device = tuple(seeds), torch.device(device)
        self._made = [0] * len(self.seeds)
        self._buffer = torch.empty(0, device=self.device)

    @classmethod
    def of(cls, image: Tensor, seed: int = 0, stream: str = "optimise") -> "NoiseStreams":
        """Streams for each image of a batch ``(B, C, H, W)``; `seed` is the run's."""
        pixels = [one.data for one in image.detach().float().cpu().flatten(1).contiguous().numpy()]
        threads = torch.get_num_threads()
        several = len(pixels) > 1 and threads > 1  # hashing leaves the interpreter to others
        hashes = (_pool(threads).map if several else map)(partial(_hash, key=f"{seed}/{stream}"), pixels)
        return cls(list(hashes), image.device)

    @classmethod
    def evaluation(cls, image: Tensor, seed: int = EVALUATION_SEED) -> "NoiseStreams":
        """The streams that measure explanations: the same for all methods, and none that an explainer has seen."""
        return cls.of(image, seed, "evaluate")

    @classmethod
    def numbered(
        cls, numbers: Sequence[int], seed: int = 0, stream: str = "train", device: torch.device | str = "cpu"
    ) -> "NoiseStreams":
        """Streams for the samples of these numbers, whatever their pixels: what training uses."""
        return cls([_hash(number.to_bytes(8, "little"), f"{seed}/{stream}") for number in numbers], device)

    def __len__(self) -> int:
        return len(self.seeds)

    def fill(self, fill: Fill, images: slice, samples: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """The next `samples` draws of each of `images`: ``(B, samples, *shape)``.

        The buffer is reused by the next call: copy what must outlive it.
        """
        chosen = range(len(self.seeds))[images]
        wanted = (len(chosen), samples, *shape)
        if self._buffer.shape != wanted or self._buffer.dtype != dtype:
            with torch.inference_mode(False):  # the threads that fill it are not in that mode
                self._buffer = torch.empty(wanted, dtype=dtype, device=self.device)
        outs, seeds = list(self._buffer.flatten(0, 1)), []
        for image in chosen:
            first = self._made[image]
            self._made[image] += samples
            seeds += [_mix(self.seeds[image], number) for number in range(first, first + samples)]

        def one(out: Tensor, seed: int) -> None:
            fill(out, torch.Generator(self.device).manual_seed(seed))

        # a random kernel keeps one CPU core busy, so draws are spread over threads
        threaded = self.device.type == "cpu" and torch.get_num_threads() > 1 and outs[0].numel() >= WORTH_THREADS
        list((_pool(torch.get_num_threads()).map if threaded else map)(one, outs, seeds))
        return self._buffer


def uniform(out: Tensor, generator: torch.Generator) -> Tensor:
    """A `Fill`: uniform in [0, 1)."""
    return out.uniform_(generator=generator)


def normal(out: Tensor, generator: torch.Generator) -> Tensor:
    """A `Fill`: standard normal."""
    return out.normal_(generator=generator)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "amortex-draws")


def _hash(content: bytes | memoryview, key: str) -> int:
    """63 bits of a hash; keys of any length."""
    prefix = hashlib.blake2b(key.encode(), digest_size=32).digest()
    return int.from_bytes(hashlib.blake2b(content, key=prefix, digest_size=8).digest(), "little") >> 1


def _mix(seed: int, number: int) -> int:
    """A seed for draw `number` of the stream `seed` (the finaliser of SplitMix64: neighbours share no bits)."""
    z = (seed + (number + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) >> 1

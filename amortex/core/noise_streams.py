"""Random numbers that belong to an input, not to its batch.

A generator makes draw number n of an input. Its seed is a hash of the input's values, the seed of the run, the name of
the stream ("optimise", "evaluate", ...) and n. So a result depends neither on the batch, nor on how draws are chunked,
nor on the order of the inputs. Evaluation sees other noise than an optimiser saw: torch's CPU generator takes 32 bits
of a seed, so about one of 100,000 draws is repeated.

The names of streams seed noise: a released explainer gives the same masks only as long as they stay as they are.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import torch
from torch import Tensor

EVALUATION_SEED = 12345
GOLDEN = (5**0.5 - 1) / 2  # its multiples are the most evenly spread, modulo one
MIN_NUMBERS_PER_THREAD = 2**15  # in a draw; handing a smaller one to a thread costs more than filling it


class Draw(torch.Generator):
    """The generator of a draw, and its `place` in [0, 1): those of successive draws of an input are evenly spread.

    What one number per draw decides (how loud it is, say) is taken from there: then any few draws are a fair sample
    of it. The places are a golden-ratio sequence, which starts elsewhere in each stream.
    """

    place: float


Fill = Callable[[Tensor, Draw], object]


class NoiseStreams:
    """A stream of random numbers per input.

    Arguments:
        seeds: one seed per input.
        device: where the numbers are made. Streams differ between device types.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.seeds, self.device = tuple(seeds), torch.device(device)
        self._drawn = [0] * len(self.seeds)  # draws of each input so far
        self._buffer = torch.empty(0, device=self.device)

    @classmethod
    def of(cls, image: Tensor, seed: int = 0, stream: str = "optimise") -> "NoiseStreams":
        """Streams for each input of a batch ``(B, C, *size)``; `seed` is the run's.

        Each stream hashes the values again, because its name is the key of the hash, and no keyed hash follows from
        one digest. That takes about 1 ms for 3 x 224 x 224 values on one core; an explanation takes hundreds.
        """
        contents = [values.data for values in image.detach().float().cpu().flatten(1).contiguous().numpy()]
        threads = torch.get_num_threads()
        parallel = len(contents) > 1 and threads > 1  # hashing releases the interpreter lock
        hashes = (_pool(threads).map if parallel else map)(partial(_hash, key=f"{seed}/{stream}"), contents)
        return cls(list(hashes), image.device)

    @classmethod
    def evaluation(cls, image: Tensor, seed: int = EVALUATION_SEED) -> "NoiseStreams":
        """The streams that measure explanations: the same for all methods, and none that an explainer has seen."""
        return cls.of(image, seed, "evaluate")

    @classmethod
    def numbered(
        cls, numbers: Sequence[int], seed: int = 0, stream: str = "train", device: torch.device | str = "cpu"
    ) -> "NoiseStreams":
        """Streams for training samples, by their numbers instead of their values."""
        return cls([_hash(number.to_bytes(8, "little"), f"{seed}/{stream}") for number in numbers], device)

    def __len__(self) -> int:
        return len(self.seeds)

    def fill(self, fill: Fill, images: slice, samples: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """The next `samples` draws of each of `images`: ``(B, samples, *shape)``.

        The next call reuses the buffer: copy what must outlive it.
        """
        indices = range(len(self.seeds))[images]
        full_shape = (len(indices), samples, *shape)
        if self._buffer.shape != full_shape or self._buffer.dtype != dtype:
            with torch.inference_mode(False):  # the threads that fill it are not in that mode
                self._buffer = torch.empty(full_shape, dtype=dtype, device=self.device)
        draws, numbers = list(self._buffer.flatten(0, 1)), []
        for index in indices:
            first = self._drawn[index]
            self._drawn[index] += samples
            numbers += [(self.seeds[index], number) for number in range(first, first + samples)]

        def fill_draw(draw: Tensor, number: tuple[int, int]) -> None:
            generator = Draw(self.device)
            generator.manual_seed(_mix(*number))
            generator.place = (_mix(number[0], -1) / 2**63 + number[1] * GOLDEN) % 1
            fill(draw, generator)

        # a random kernel keeps one CPU core busy, so draws are spread over threads
        threads = torch.get_num_threads()
        parallel = self.device.type == "cpu" and threads > 1 and draws[0].numel() >= MIN_NUMBERS_PER_THREAD
        list((_pool(threads).map if parallel else map)(fill_draw, draws, numbers))
        return self._buffer


def shared_draw(step: int, seed: int, stream: str) -> float:
    """A number in [0, 1) for a step of training: all devices draw the same, so that none waits for another."""
    return NoiseStreams.numbered([step], seed, stream).fill(uniform, slice(None), 1, (1,), torch.float32).item()


def uniform(out: Tensor, generator: torch.Generator) -> Tensor:
    """A `Fill`: uniform in [0, 1)."""
    return out.uniform_(generator=generator)


def normal(out: Tensor, generator: torch.Generator) -> Tensor:
    """A `Fill`: standard normal."""
    return out.normal_(generator=generator)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "amortex-noise")


def _hash(content: bytes | memoryview, key: str) -> int:
    """63 bits of a hash; keys of any length."""
    prefix = hashlib.blake2b(key.encode(), digest_size=32).digest()
    return int.from_bytes(hashlib.blake2b(content, key=prefix, digest_size=8).digest(), "little") >> 1


def _mix(seed: int, number: int) -> int:
    """A seed for draw `number` of the stream `seed`: SplitMix64's finaliser, after which neighbours share no bits."""
    z = (seed + (number + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) >> 1

"""How much goes through the classifier at once: what bounds memory."""

from collections.abc import Callable, Iterable, Iterator

from amortex.core.errors import InputError

Pause = Callable[[], object]  # called between chunks of draws: what takes long can let others go first, or be ended


def idle() -> None:
    """A `Pause` that is none."""


def paused(counts: Iterable[int], pause: Pause) -> Iterator[int]:
    """The sizes of chunks, with a pause after each chunk."""
    for count in counts:
        yield count
        pause()


class Chunking:
    """Slices of images and of noise draws that fit into memory together.

    Arguments:
        internal_batch_size: most obfuscated signals that are in memory at once; draws beyond are chunked.
        batch_invariant: compute each signal apart from its batch.

    Raises:
        InputError: a size below 1.
    """

    def __init__(self, internal_batch_size: int, batch_invariant: bool) -> None:
        if internal_batch_size < 1:
            raise InputError(f"internal_batch_size must be at least 1, not {internal_batch_size}")
        self.internal_batch_size, self.batch_invariant, self.backed_off = internal_batch_size, batch_invariant, False

    def back_off(self) -> bool:
        """Halve `internal_batch_size` after memory ran out; whether that could be done, which is once."""
        possible = self.internal_batch_size > 1 and not self.backed_off
        if possible:
            self.internal_batch_size, self.backed_off = self.internal_batch_size // 2, True
        return possible

    @property
    def images_at_once(self) -> int:
        """Most images that go through the classifier together."""
        return 1 if self.batch_invariant else self.internal_batch_size

    def chunks(self, images: int, draws: int = 1) -> Iterator[slice]:
        """Slices of so many images: those that go through the classifier together, each with so many draws."""
        size = max(1, self.images_at_once // draws)
        return (slice(start, min(start + size, images)) for start in range(0, images, size))

    def draws_at_once(self, images: int) -> int:
        """Most noise draws that go through the classifier together, for so many images."""
        return max(1, self.internal_batch_size // images)

    def chunks_of_draws(self, images: int, draws: int) -> Iterator[tuple[slice, list[int]]]:
        """Slices of so many images, each with the sizes of its chunks of so many draws."""
        for chunk in self.chunks(images):
            most = self.draws_at_once(chunk.stop - chunk.start)
            yield chunk, [most] * (draws // most) + ([draws % most] if draws % most else [])

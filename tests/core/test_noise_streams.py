"""Random numbers that belong to an image."""

import pytest
import torch

from amortex.core.noise_streams import NoiseStreams


def normal(streams: NoiseStreams, images: slice, samples: int, shape=(2, 9), dtype=torch.float32) -> torch.Tensor:
    return streams.fill(lambda out, g: out.normal_(generator=g), images, samples, shape, dtype).clone()


EVERY = slice(None)


def test_draws_have_the_shape_and_precision_asked_for(images):
    streams = NoiseStreams.of(images)
    assert len(streams) == 3
    assert normal(streams, EVERY, 4).shape == (3, 4, 2, 9)
    assert normal(streams, EVERY, 4, dtype=torch.float64).dtype == torch.float64


def test_draws_do_not_depend_on_the_batch(images):
    together = normal(NoiseStreams.of(images), EVERY, 5)
    for index in range(3):
        alone = normal(NoiseStreams.of(images[index : index + 1]), EVERY, 5)
        assert torch.equal(alone[0], together[index])


def test_draws_do_not_depend_on_the_order_of_the_images(images):
    order = [2, 0, 1]
    assert torch.equal(
        normal(NoiseStreams.of(images[order]), EVERY, 3), normal(NoiseStreams.of(images), EVERY, 3)[order]
    )


@pytest.mark.parametrize("chunks", [(6,), (1,) * 6, (4, 2), (1, 5)])
@pytest.mark.parametrize("shape", [(3,), (2, 9), (40,)])  # torch fills short and long tensors by different routes
def test_draws_do_not_depend_on_chunking(images, chunks, shape):
    whole = normal(NoiseStreams.of(images), EVERY, 6, shape)
    streams = NoiseStreams.of(images)
    assert torch.equal(torch.cat([normal(streams, EVERY, n, shape) for n in chunks], dim=1), whole)


def test_an_image_advances_only_its_own_stream(images):
    whole = normal(NoiseStreams.of(images), EVERY, 4)
    streams = NoiseStreams.of(images)
    assert torch.equal(normal(streams, slice(2, 3), 4), whole[2:])
    assert torch.equal(normal(streams, slice(0, 2), 4), whole[:2])


def test_streams_seeds_and_images_differ(images):
    kinds = [
        NoiseStreams.of(images, 0, "optimise"),
        NoiseStreams.of(images, 0, "evaluate"),
        NoiseStreams.of(images, 1, "optimise"),
    ]
    values = torch.cat([normal(streams, EVERY, 1) for streams in kinds]).flatten(1)
    assert len(torch.unique(values, dim=0)) == 9


def test_same_image_and_seed_repeat_the_numbers_and_the_next_draws_are_new(images):
    streams = NoiseStreams.of(images, 5)
    first, second = normal(streams, EVERY, 2), normal(streams, EVERY, 2)
    assert torch.equal(first, normal(NoiseStreams.of(images.clone(), 5), EVERY, 2))
    assert not torch.equal(first, second)


def test_global_random_state_is_neither_used_nor_moved(images):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = normal(NoiseStreams.of(images), EVERY, 2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(normal(NoiseStreams.of(images), EVERY, 2), first)


def test_threads_fill_the_same_numbers_as_one(images, monkeypatch):
    shape = (2**15,)
    expected = [normal(NoiseStreams.of(images), EVERY, 3, shape)]
    with torch.inference_mode():
        expected.append(normal(NoiseStreams.of(images), EVERY, 3, shape))
    for count in (1, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        expected.append(normal(NoiseStreams.of(images), EVERY, 3, shape))
    assert all(torch.equal(numbers, expected[0]) for numbers in expected)


def test_memory_layout_of_the_image_does_not_matter(images):
    reordered = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(normal(NoiseStreams.of(reordered), EVERY, 1), normal(NoiseStreams.of(images), EVERY, 1))


def test_seeds_are_those_of_the_released_explainers():
    values = torch.arange(24).reshape(2, 3, 2, 2) / 24
    assert NoiseStreams.of(values).seeds == (6468570755544633761, 7509937759259874952)
    assert NoiseStreams.of(values, 7, "look").seeds == (7451546120562832912, 1745567063261807018)
    assert NoiseStreams.numbered([0, 5], 3, "price").seeds == (4722417053597829834, 6742208851435040958)


@pytest.mark.parametrize("size", [(12,), (4, 3), (3, 2, 2)])
def test_signals_of_any_number_of_axes_have_streams_of_their_values(size):
    values = torch.arange(24).reshape(2, 12) / 24
    assert NoiseStreams.of(values.reshape(2, 1, *size)).seeds == NoiseStreams.of(values).seeds


def test_places_of_the_draws_are_evenly_spread_from_any_number_on_and_in_any_chunks():
    streams, chunked = (NoiseStreams.of(torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(1)))
                        for _ in range(2))  # fmt: skip

    def places(streams, samples):
        return streams.fill(lambda out, draw: out.fill_(draw.place), slice(None), samples, (1,), torch.float64)[..., 0]

    expected = places(streams, 16).clone()
    torch.testing.assert_close(torch.cat([places(chunked, count).clone() for count in (3, 8, 5)], 1), expected)
    assert len(set(expected[:, 0].tolist())) == 3
    for image in expected:
        for first in range(9):
            assert image[first : first + 8].sort().values.diff().max() < 2 / 8

"""Moving digits: a function of their index; one digit moves in the direction of the class, one stands still."""

import pytest
import torch

from amortex.classifiers.moving_digits import CLASS_NAMES
from amortex.core.errors import InputError
from amortex.data.moving_digits import DIRECTIONS, FRAMES, SPEED, MovingDigits


def centres(frames):
    """Centres of mass ``(T, 2)`` of frames ``(T, H, W)``."""
    weights = frames.double() / frames.double().sum((1, 2), keepdim=True)
    places = torch.arange(frames.shape[-1]).double()
    return torch.stack([weights.sum(2) @ places, weights.sum(1) @ places], 1)


def test_clips_are_a_function_of_split_seed_and_index():
    source = MovingDigits()
    assert torch.equal(source.open(5), MovingDigits().open(5))
    assert not torch.equal(source.open(5), source.open(6))
    assert not torch.equal(source.open(5), MovingDigits(seed=1).open(5))
    assert len(MovingDigits("validation")) == 359
    assert len(source) == source.poses * (1797 - 359)
    with pytest.raises(InputError, match="not 'test'"):
        MovingDigits("test")


def test_one_digit_moves_as_the_class_says_and_stays_in_view():
    source = MovingDigits("validation")
    assert tuple(DIRECTIONS) == CLASS_NAMES
    seen = set()
    for index in range(24):
        clip, moving, label = source.open(index), source.moving(index), source.label(index)
        assert clip.shape == (3, *moving.shape)
        assert 0 == clip.min() < 0.3 < clip.max() <= 1
        assert (clip.amax(0)[moving] > 0).all()
        step = torch.tensor(list(DIRECTIONS.values())[label]).double() * SPEED
        places = centres(moving)
        assert torch.allclose(places[-1] - places[0], (FRAMES - 1) * step, atol=0.8)  # edges fall between pixels
        rest = (clip.amax(0) * ~moving).amax(0) > 0  # what never moves is in all frames
        assert torch.equal(clip.amax(0)[0] * ~moving.any(0) > 0, rest & ~moving.any(0))
        assert source.name(index).startswith(CLASS_NAMES[label])
        seen.add(label)
    assert seen == {0, 1, 2, 3}

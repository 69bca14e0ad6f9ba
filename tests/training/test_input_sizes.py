"""Images of several sizes in training."""

import pytest
import torch

from amortex.amortized.predictor import MaskPredictor
from amortex.core.errors import InputError
from amortex.training.input_sizes import InputSizes
from helpers.problems import tiny_problem
from helpers.training import fit


def predictor(**settings):
    return MaskPredictor(tiny_problem(levels=2, **settings).build())


@pytest.mark.parametrize(("side", "smallest", "sides"), [(30, 16, [30, 28, 24, 20, 16]), (30, 17, [30, 28, 24, 20])])
def test_sides_are_multiples_of_what_the_transform_halves(side, smallest, sides):
    sizes = InputSizes(predictor(input_size=side), smallest).sizes
    assert sizes == [(n, n) for n in sides]


def test_a_batch_has_a_size_that_is_drawn_for_its_step():
    sizes, same, other = (InputSizes(predictor(input_size=32), 19, seed) for seed in (0, 0, 1))
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    sides = [sizes(image, step).shape[-1] for step in range(50)]
    assert set(sides) == {20, 24, 28, 32}
    assert sides == [same(image, step).shape[-1] for step in range(50)]
    assert sides != [other(image, step).shape[-1] for step in range(50)]
    shrunk = sizes(image, sides.index(20))
    torch.testing.assert_close(shrunk.mean((2, 3)), image.mean((2, 3)), rtol=0, atol=0.02)
    assert InputSizes(predictor(input_size=32), None)(image, 0) is image


def test_shrunk_images_keep_their_shape_about():
    sizes = InputSizes(predictor(input_size=(3, 32, 64)), 16)
    assert sizes.sizes == [(32, 64), (28, 56), (24, 48), (20, 40), (16, 32)]


@pytest.mark.parametrize("side", [3, 29, 32])
def test_sides_that_cannot_be_are_refused(side):
    with pytest.raises(InputError, match=f"between 4 and 28, not {side}"):
        InputSizes(predictor(input_size=32), side)


def test_classifiers_of_one_size_are_refused(monkeypatch):
    fixed = predictor(input_size=32)
    network = fixed.rate_distortion.phi

    def phi(image):
        assert image.shape[-1] == 32, "input size doesn't match"
        return network(image)

    monkeypatch.setattr(fixed.rate_distortion, "phi", phi)
    with pytest.raises(InputError, match=r"takes no images of 16x16 \(input size.*leave out smallest_side"):
        InputSizes(fixed, 16)


def test_sounds_have_no_other_sizes():
    sounds = MaskPredictor(tiny_problem("AnyAxes", input_size=(1, 64), model_args={"size": [1, 64]}).build())
    with pytest.raises(InputError, match="for images alone"):
        InputSizes(sounds, 16)


def test_explainers_are_trained_at_several_sizes(folder, monkeypatch):
    forward, seen = MaskPredictor.forward, []

    def recorded(self, image, *arguments, **options):
        if self.decoder.training:
            seen.append(image.shape[-1])
        return forward(self, image, *arguments, **options)

    monkeypatch.setattr(MaskPredictor, "forward", recorded)
    assert fit("--model.objective.smallest_side", 16, steps=8, every=8) == 0
    assert len(set(seen)) > 1
    assert set(seen) <= {16, 20, 24, 28, 32}

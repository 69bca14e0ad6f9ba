"""Where the optimisation of a mask starts."""

import pytest
import torch

from amortex.core.errors import InputError
from amortex.core.layout import Coefficients
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.initial import initial_mask, sensitivity
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.obfuscations.constant import Constant
from amortex.obfuscations.gaussian import Gaussian
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.scores import class_gradient
from amortex.transforms.fourier import Fourier
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet

TRANSFORMS = (Wavelet("db2", 2), Pixel(), Fourier(2))
each_transform = pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)


def coefficient_gradient(classifier, transform, image, target, log: bool) -> torch.Tensor:
    """Gradient of one image's class score with respect to its coefficients ``(C, k)``, by a leaf of coefficients."""
    coefficients = transform(image[None])
    leaf = coefficients.flat.detach().requires_grad_()
    x = transform.inverse(Coefficients(coefficients.layout.split(leaf), coefficients.layout))
    score = classifier(x)[0]
    score = score.log_softmax(0) if log else score
    return torch.autograd.grad(score[target], leaf)[0][0]


@pytest.mark.parametrize("size", [1, 3, 16])
@pytest.mark.parametrize("log", [False, True])
def test_class_gradient_is_the_gradient_of_the_logit_or_log_probability(size, log, smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Pixel(), internal_batch_size=size)
    target = torch.tensor([0, 1, 2, 3])
    values = class_gradient(rd, images64, target, of_log_probability=log)
    for index in range(4):
        expected = coefficient_gradient(smooth_classifier, Pixel(), images64[index], target[index], log)
        torch.testing.assert_close(values[index].flatten(1), expected)


def start(init, transform, classifier, images) -> torch.Tensor:
    rd = RateDistortion(classifier, transform)
    return initial_mask(init, rd, rd.encode(images), NoiseStreams.of(images))


@each_transform
def test_ones_is_the_full_mask(transform, smooth_classifier, images64):
    assert (start("ones", transform, smooth_classifier, images64) == 1).all()


@each_transform
def test_startgrad_ranks_entries_by_the_magnitude_of_their_gradient(transform, smooth_classifier, images64):
    mask = start("startgrad", transform, smooth_classifier, images64)
    target = smooth_classifier(images64).argmax(1)
    for index, image in enumerate(images64):
        gradient = coefficient_gradient(smooth_classifier, transform, image, target[index], log=False)
        relevance = gradient.abs().sum(0)
        k = len(relevance)
        assert mask[index].sort().values.tolist() == pytest.approx([(i + 1) / k for i in range(k)])
        ranked = relevance[mask[index].argsort()]
        assert (ranked.diff() >= -1e-12).all()


@each_transform
@pytest.mark.parametrize("obfuscation", [Constant(), Gaussian()], ids=lambda o: type(o).__name__)
def test_sensitivity_is_the_mean_squared_first_order_change(transform, obfuscation, smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, transform, obfuscation)
    encoded = rd.encode(images64)
    layout = encoded.layout
    values = sensitivity(rd, encoded, NoiseStreams.of(images64), samples=3)
    streams, half = NoiseStreams.of(images64), torch.full((4, layout.k), 0.5, dtype=torch.float64)
    variance = (encoded.coefficients.flat - layout.join(encoded.location)).abs() ** 2
    if encoded.scale is not None:
        variance = variance + layout.join(encoded.scale) ** 2
    rounds = 3 if encoded.scale is not None else 1
    expected = torch.zeros_like(values)
    for _ in range(rounds):
        noisy = rd.obfuscate(encoded, half, rd.noise(encoded, streams, slice(None), 1))[:, 0]
        for index, image in enumerate(noisy):
            gradient = coefficient_gradient(smooth_classifier, transform, image, encoded.target[index], log=True)
            expected[index] += (gradient.abs() ** 2 * variance[index]).sum(0) / rounds
    torch.testing.assert_close(values, expected)


def test_sensitivity_predicts_the_damage_of_a_single_entry_where_the_classifier_is_almost_linear(linear_classifier):
    image = 0.5 + 0.01 * torch.randn(1, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rd = RateDistortion(linear_classifier, Pixel(), Constant(0.5))
    encoded = rd.encode(image)
    predicted = sensitivity(rd, encoded, NoiseStreams.of(image))[0]
    target = encoded.target[0]
    for entry in predicted.topk(3).indices:
        # the channels of an entry change together, sensitivity takes them one at a time
        damage = 0.0
        for channel in range(3):
            changed = image.clone()
            changed[0, channel].view(-1)[entry] = 0.5
            drop = linear_classifier(image).log_softmax(1) - linear_classifier(changed).log_softmax(1)
            damage += drop[0, target].item() ** 2
        assert predicted[entry].item() == pytest.approx(damage, rel=0.05)


@pytest.mark.parametrize("init", ["random", "startgrad", "sensitivity"])
def test_start_does_not_depend_on_the_batch(init, smooth_classifier, images64):
    together = start(init, Wavelet("db2", 2), smooth_classifier, images64)
    for index in range(4):
        alone = start(init, Wavelet("db2", 2), smooth_classifier, images64[index : index + 1])
        assert (alone[0] - together[index]).abs().max() < 0.02  # rounding may swap neighbours in rank


def test_given_mask_is_where_the_optimisation_starts(tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Pixel())
    given = torch.rand(3, 1024, generator=torch.Generator().manual_seed(0))
    before = given.clone()
    explainer = RDE(rd, 1.0, Preset("tiny", steps=1, samples=1, lr=1e-6, schedule="constant"), init=given)
    mask = explainer.explain(images).mask
    assert 0 < (mask - given).abs().max() < 1e-5
    assert torch.equal(given, before)  # and is left alone
    assert explainer.settings()["init"] == "given"


@pytest.mark.parametrize(("given", "message"), [
    ("nonsense", "unknown start"),
    (torch.ones(1024), "shape"),
    (torch.ones(3, 1023), "shape"),
    (torch.full((3, 1024), 1.001), "leaves"),
    (torch.full((3, 1024), -0.001), "leaves"),
    (torch.full((3, 1024), float("nan")), "leaves"),
])  # fmt: skip
def test_unknown_and_misfitting_starts_are_refused(given, message, tiny_classifier, images):
    preset = Preset("tiny", steps=1, samples=1, lr=1e-3, schedule="constant")
    with pytest.raises(InputError, match=message):
        RDE(RateDistortion(tiny_classifier, Pixel()), preset=preset, init=given).explain(images)


def test_plain_starts_are_all_zero_or_uniform_and_belong_to_the_seed(smooth_classifier, images64):
    assert start("zeros", Pixel(), smooth_classifier, images64).count_nonzero() == 0
    random = start("random", Pixel(), smooth_classifier, images64)
    assert random.mean().item() == pytest.approx(0.5, abs=0.02)
    assert random.var().item() == pytest.approx(1 / 12, abs=0.01)
    assert not torch.equal(random[0], random[1])
    assert torch.equal(random, start("random", Pixel(), smooth_classifier, images64))

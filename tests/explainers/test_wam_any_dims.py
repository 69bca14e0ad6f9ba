"""Wavelet attributions of sound and volumes: completeness, and means of gradients by brute force."""

import pytest
import torch
from torch import nn

from amortex.core.layout import Coefficients
from amortex.core.noise_streams import NoiseStreams, normal
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier
from helpers.signals import RANGES, SIZES, PyramidNet, signals


def pipeline(dims: int, size: int = 16) -> RateDistortion:
    """A network without kinks, in float64."""
    net = build_classifier(PyramidNet(dims), SIZES[dims], f"smooth of {dims} axes").double()
    nn.init.normal_(net.model.head.weight, generator=torch.Generator().manual_seed(0))
    return RateDistortion(net, Wavelet("db2", 2, dims=dims), internal_batch_size=size, value_range=RANGES[dims])


@pytest.mark.parametrize("dims", [1, 3])
def test_integrated_attributions_sum_to_the_change_of_the_logit_from_zero(dims):
    rd, x, target = pipeline(dims), signals(dims).double(), torch.tensor([1, 2])
    ends = [rd.classifier(values).gather(1, target[:, None])[:, 0] for values in (x, torch.zeros_like(x))]
    change, errors = ends[0] - ends[1], []
    for samples in (8, 16):
        signed = WAM(rd, "integrated", samples=samples).explain(x, target).signed
        errors.append((signed.sum(1) - change).abs().max())
    assert errors[1] < 1e-2 * change.abs().max()
    assert 3 < errors[0] / errors[1] < 5  # the trapezoid rule is of second order


@pytest.mark.parametrize("dims", [1, 3])
@pytest.mark.parametrize("internal_batch_size", [1, 3, 16])
def test_smoothgrad_is_the_mean_gradient_by_a_loop_whatever_fits_into_memory(dims, internal_batch_size):
    rd, x, target = pipeline(dims, internal_batch_size), signals(dims).double(), torch.tensor([3, 0])
    explanation = WAM(rd, "smoothgrad", samples=5, seed=2).explain(x, target)
    streams, coefficients = NoiseStreams.of(x, 2, "optimise"), rd.transform(x)
    noise = streams.fill(normal, slice(None), 5, tuple(x.shape[1:]), x.dtype)
    sigma = 0.25 * (x.flatten(1).amax(1) - x.flatten(1).amin(1))
    mean = torch.zeros_like(coefficients.flat)
    for index in range(2):
        for draw in range(5):
            noisy = rd.transform((x[index] + sigma[index] * noise[index, draw])[None])
            leaf = noisy.flat.detach().requires_grad_()
            signal = rd.transform.inverse(Coefficients(noisy.layout.split(leaf), noisy.layout))
            mean[index] += torch.autograd.grad(rd.classifier(signal)[0, target[index]], leaf)[0][0] / 5
    torch.testing.assert_close(explanation.relevance, mean.abs().sum(1))
    torch.testing.assert_close(explanation.signed, mean.sum(1))

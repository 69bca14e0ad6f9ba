"""Learned refinement: what its probes see, and how masks move."""

import itertools

import torch

from amortex.amortized.config import FallConfig, RefinementSchedule
from amortex.amortized.evidence import probe
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.predictors import stirred


def test_a_probe_finds_the_gradient_by_the_mask_if_asked_for(smooth_classifier, images64):
    rd = RateDistortion(smooth_classifier, Wavelet("haar", 2))
    encoded = rd.encode(images64)
    mask = torch.rand(4, encoded.layout.k, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rd.internal_batch_size = 3  # chunks of 3 and 1
    probed = probe(rd, encoded, mask, NoiseStreams.of(images64, stream="look"), mask_gradient=True)
    assert probe(rd, encoded, mask, NoiseStreams.of(images64, stream="look")).mask_gradient is None
    torch.testing.assert_close(probed[:3], probe(rd, encoded, mask, NoiseStreams.of(images64, stream="look"))[:3])
    noise = rd.noise(encoded, NoiseStreams.of(images64, stream="look"), slice(None), 1)
    leaf = mask.clone().requires_grad_()
    log_probability = rd.outputs(encoded, leaf, noise)[:, 0].log().gather(1, encoded.target[:, None])
    torch.testing.assert_close(probed.mask_gradient, torch.autograd.grad(log_probability.sum(), leaf)[0])


def test_the_untrained_refiner_moves_nothing_and_a_stirred_one_does(predictor, images):
    prediction = predictor(images)
    mask = prediction.mask(0.2)
    streams = [NoiseStreams.of(images, stream="refine") for _ in range(2)]
    torch.testing.assert_close(predictor.refine(prediction, 2.0, 3, streams[0], mask), mask, rtol=0, atol=2e-5)
    moved = stirred(predictor).refine(prediction, 2.0, 3, streams[1], mask)
    assert (moved - mask).abs().amax(1).min() > 0.01
    free_of_charge = predictor.refine(prediction, 0.0, 3, NoiseStreams.of(images, stream="refine"), mask)
    assert free_of_charge.isfinite().all()
    costly = predictor.refine(prediction, 50.0, 3, NoiseStreams.of(images, stream="refine"), mask)
    assert (costly - moved).abs().max() > 1e-3  # it knows the sparsity weight


def test_many_steps_end_with_the_mean_of_the_last_masks(predictor, images):
    prediction, masks = stirred(predictor)(images), []
    mask = predictor.refine(
        prediction, 2.0, 17, NoiseStreams.of(images, stream="refine"), on_step=lambda step, mask: masks.append(mask)
    )
    torch.testing.assert_close(mask, (masks[-1] + masks[-2]) / 2)
    assert not torch.equal(masks[-1], masks[-2])
    assert torch.equal(
        predictor.refine(prediction, 2.0, 0, NoiseStreams.of(images), mask).round(decimals=3), mask.round(decimals=3)
    )


def test_only_refiners_that_were_trained_unrolled_are_told_how_many_steps_are_left(predictor, images):
    stirred(predictor)
    masks = {}
    for unrolled, steps in itertools.product((False, True), (2, 8)):
        prediction = predictor(images, streams=NoiseStreams.of(images, stream="look"))
        schedule = RefinementSchedule(unrolled=unrolled, fall=FallConfig(peak=1.0), first_lambda=2.0)
        seen = masks[unrolled, steps] = []
        predictor.refine(
            prediction, 2.0, steps, NoiseStreams.of(images, stream="refine"), prediction.mask(0.2),
            on_step=lambda step, mask, seen=seen: seen.append(mask), schedule=schedule,
        )  # fmt: skip
    assert torch.equal(masks[False, 2][0], masks[False, 8][0])
    assert not torch.equal(masks[True, 2][0], masks[True, 8][0])

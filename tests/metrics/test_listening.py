"""What is heard of what is kept: against brute force on linear models, and cases whose answers are known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from amortex.core.errors import InputError
from amortex.explainers.base import Explanation
from amortex.metrics import ImageMean, MaskedIn, Separation, functional
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel
from amortex.transforms.polar import Polar
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier
from helpers.signals import signal_pipeline, signals


class LinearLogits(nn.Module):
    """Logits are linear in the samples ``(B, 1, T)``."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)  # (classes, T)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x[:, 0] * 0.5 + 0.5) @ self.weights.T  # normalisation with 0.5, undone


@pytest.fixture
def linear():
    """A linear model of sounds of 16 samples over pixels, three sounds, and an explanation with a soft mask."""
    generator = torch.Generator().manual_seed(0)
    weights, x = torch.randn(3, 16, generator=generator), torch.rand(4, 1, 16, generator=generator) * 2 - 1
    rd = RateDistortion(build_classifier(LinearLogits(weights), (1, 16), "linear"), Pixel(), value_range=(-1.0, 1.0))
    mask = torch.rand(4, 16, generator=generator)
    return rd, weights.numpy(), x, Explanation(rd.encode(x), mask, mask)


def softmax(logits):
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


@pytest.mark.parametrize("share", [None, 0.5])
def test_masked_in_by_brute_force(share, linear):
    rd, weights, x, explanation = linear
    values = MaskedIn(rd, share).evaluate(explanation)
    for sound, mask, row in zip(x[:, 0].numpy(), explanation.mask.numpy(), values.tolist(), strict=True):
        kept = mask if share is None else (np.argsort(np.argsort(-mask)) < 8).astype(float)
        p, p_in, p_out = (softmax(weights @ signal) for signal in (sound, kept * sound, (1 - kept) * sound))
        c = p.argmax()
        expected = [p[c] - p_out[c], float(p_in.argmax() == c), float(p_in[c] > p[c]), max(0, p[c] - p_in[c]) / p[c],
                    max(0, p_in[c] - p[c]) / (1 - p[c])]  # fmt: skip
        assert row == pytest.approx(expected, abs=1e-5)


def test_keeping_everything_and_nothing(linear):
    rd, _, x, explanation = linear
    whole = functional.masked_in(rd, explanation.encoded, torch.ones(4, 16))
    nothing = functional.masked_in(rd, explanation.encoded, torch.zeros(4, 16))
    silence = rd.phi(torch.zeros_like(x)).gather(1, explanation.encoded.target[:, None])[:, 0]
    p = explanation.encoded.probabilities.amax(1)
    torch.testing.assert_close(whole["ff"], p - silence)
    assert whole["fid_in"].tolist() == [1, 1, 1, 1]
    assert whole["ad"].tolist() == pytest.approx([0] * 4, abs=1e-6)
    torch.testing.assert_close(nothing["ff"], torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(nothing["ad"], (p - silence) / p)


def test_what_is_kept_is_clipped_to_the_range(linear):
    rd, _, x, explanation = linear
    loud = explanation.encoded._replace(coefficients=rd.transform(x * 5))
    torch.testing.assert_close(functional.kept_signal(rd, loud, torch.ones(4, 16)), (x * 5).clamp(-1, 1))


def test_outputs_that_are_no_numbers_have_no_figures(linear):
    rd, _, _, explanation = linear
    mask = explanation.mask.clone()
    mask[1] = torch.nan
    values = functional.masked_in(rd, explanation.encoded, mask)
    assert [value.isnan().tolist() for value in values.values()] == [[False, True, False, False]] * 5


def test_medians_are_those_of_numpy_and_their_intervals_those_of_the_bootstrap():
    generator, seeds = torch.Generator().manual_seed(1), list(range(11))
    values = torch.randn(11, 2, generator=generator).double()
    values[3, 1] = torch.nan
    metric = ImageMean(("mean", "median"), medians=("median",))
    for index in (4, 0, 9):  # neither order nor batch matters
        metric.update(values[index : index + 1], [seeds[index]])
    rest = [index for index in range(11) if index not in (4, 0, 9)]
    metric.update(values[rest], [seeds[index] for index in rest])
    intervals = metric.compute()
    assert intervals["mean"].mean == pytest.approx(values[:, 0].mean().item())
    column = values[:, 1].numpy()
    assert intervals["median"].mean == pytest.approx(np.nanmedian(column), abs=1e-6)
    assert intervals["median"].images == 10
    replicates = []
    for replicate in range(1, 1001):
        repeated = []
        for index in (i for i in range(11) if i != 3):
            counts = torch.poisson(torch.ones(1000, dtype=torch.float64), torch.Generator().manual_seed(seeds[index]))
            repeated += [column[index]] * int(counts[replicate - 1])
        replicates += [np.median(repeated)] if repeated else []
    low, high = np.quantile(replicates, [0.025, 0.975])
    assert (intervals["median"].low, intervals["median"].high) == pytest.approx((low, high), abs=1e-6)


def test_medians_are_over_the_images_of_all_devices():
    values = torch.tensor([[0.1], [0.4], [0.9]])
    first, second, empty, all_of_them = (ImageMean(("median",), medians=("median",)) for _ in range(4))
    first.update(values[:1], [1])
    second.update(values[1:], [2, 3])
    all_of_them.update(values, [1, 2, 3])
    others = [iter((m.total, m.weight, torch.cat([torch.zeros(0), *m.records]))) for m in (second, empty)]
    first.distributed_available_fn = lambda: True
    first.dist_sync_fn = lambda state, group: [state, *map(next, others)]
    assert first.compute() == all_of_them.compute()


def test_a_median_of_nothing_is_none():
    metric = ImageMean(("median",), medians=("median",))
    metric.update(torch.tensor([[torch.nan]]), [1])
    interval = metric.compute()["median"]
    assert math.isnan(interval.mean)
    assert interval.images == 0


def test_si_sdr_by_its_formula_and_in_known_cases():
    generator = torch.Generator().manual_seed(0)
    signal, reference = (torch.randn(2, 1, 500, generator=generator) for _ in range(2))
    signal = signal + reference
    for s, r, value in zip(
        signal[:, 0].double(), reference[:, 0].double(), functional.si_sdr(signal, reference), strict=True
    ):
        scaled = (s @ r) / (r @ r) * r
        assert value.item() == pytest.approx(
            10 * math.log10((scaled @ scaled) / ((scaled - s) @ (scaled - s))), abs=1e-4
        )
    highest = functional.HIGHEST_SI_SDR
    torch.testing.assert_close(functional.si_sdr(signal * 7, reference), functional.si_sdr(signal, reference))
    assert functional.si_sdr(-3 * reference, reference).tolist() == [highest, highest]
    assert functional.si_sdr(torch.zeros_like(reference), reference).tolist() == [-highest, -highest]
    assert functional.si_sdr(signal, torch.zeros_like(signal)).isnan().all()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_separation_by_brute_force(dims):
    rd = signal_pipeline(dims, Wavelet("haar", 2, dims=dims))
    target, corruption = signals(dims, 4).split(2)
    mixture = (target + corruption) / 2
    encoded = rd.encode(mixture)
    mask = torch.rand(2, encoded.layout.k, generator=torch.Generator().manual_seed(3))
    explanation = Explanation(encoded, mask, mask)
    values = functional.separation(rd, encoded, mask, target / 2)
    for index in range(2):
        one = mask[index : index + 1]

        def kept(signal, one=one):
            return rd.transform.inverse(rd.transform(signal).map(torch.mul, encoded.layout.split(one[:, None])))

        ours, theirs = (kept(part[index : index + 1] / 2) for part in (target, corruption))
        energies = [part.square().sum().item() for part in (ours, theirs)]
        assert values["target_energy"][index].item() == pytest.approx(energies[0] / sum(energies), abs=1e-5)
        assert values["target_dominates"][index].item() == float(energies[0] >= 2 * energies[1])
        heard = (ours + theirs).clamp(*rd.value_range)
        for name, reference in (("target", target), ("corruption", corruption)):
            expected = functional.si_sdr(heard, reference[index : index + 1])
            torch.testing.assert_close(values[f"si_sdr_{name}"][index : index + 1], expected, atol=1e-3, rtol=0)
        keeps = rd.phi(heard).argmax(1) == encoded.target[index]
        assert values["retained"][index].item() == float(keeps)
    metric = Separation(rd, shares=(0.25,))
    columns = dict(zip(metric.columns, metric.evaluate(explanation, target / 2).T, strict=True))
    torch.testing.assert_close(columns["target_energy@mask"], values["target_energy"])
    top = functional.separation(rd, encoded, functional.top_mask(explanation, 0.25), target / 2)
    torch.testing.assert_close(columns["si_sdr_target@0.25"], top["si_sdr_target"])
    nothing = functional.separation(rd, encoded, torch.zeros_like(mask), target / 2)
    assert nothing["target_energy"].isnan().all()
    assert not nothing["target_dominates"].any()
    alone = functional.separation(rd, encoded, mask, 0.9 * mixture)  # the corruption is a ninth of the target
    assert alone["target_dominates"].all()


def test_what_is_kept_of_a_mixture_needs_a_linear_transform():
    with pytest.raises(InputError, match="Polar is not linear"):
        Separation(signal_pipeline(1, Polar(3)))


def test_shares_out_of_range_are_refused(linear):
    with pytest.raises(InputError, match="share must be above 0"):
        MaskedIn(linear[0], share=1.5)
    with pytest.raises(InputError, match="share must be above 0"):
        Separation(linear[0], shares=(0.0,))

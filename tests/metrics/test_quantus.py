"""Deletion and mu-fidelity against Quantus, which calls them pixel flipping and faithfulness correlation."""

import numpy as np
import pytest
import torch
from torch import nn

from amortex.explainers.base import Explanation
from amortex.metrics.functional import insertion_deletion, mu_fidelity, random_subsets, subset_drops
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel
from helpers.classifiers import build_classifier

quantus = pytest.importorskip("quantus", exc_type=ImportError)  # its OpenCV does not load everywhere


@pytest.fixture(scope="module")
def case():
    """Grey images of 8 x 8: Quantus ranks the entries of all channels, amortex pixels; here these are the same."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 5))
    rd = RateDistortion(build_classifier(net, (1, 8, 8), "grey"), Pixel())
    image = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
    relevance = torch.rand(3, 64, generator=torch.Generator().manual_seed(1))
    encoded = rd.encode(image)
    explanation = Explanation(encoded, (relevance > 0.5).float(), relevance)
    data = {
        "model": rd.classifier.eval(), "softmax": True, "x_batch": image.numpy(),
        "y_batch": encoded.target.numpy(), "a_batch": relevance.unflatten(1, (1, 8, 8)).numpy(),
    }  # fmt: skip
    return rd, explanation, data


OPTIONS = {
    "normalise": False, "abs": False, "perturb_baseline": 0.0, "disable_warnings": True, "return_aggregate": False
}  # fmt: skip


def test_deletion_is_pixel_flipping(case):
    rd, explanation, data = case
    theirs = quantus.PixelFlipping(features_in_step=4, **OPTIONS)(**data)
    ours = insertion_deletion(rd, explanation, steps=16)["deletion"][:, 1:]
    torch.testing.assert_close(ours, torch.tensor(np.array(theirs)).to(ours), rtol=0, atol=1e-5)


def test_mu_fidelity_is_faithfulness_correlation(case, monkeypatch):
    rd, explanation, data = case
    chosen = random_subsets(explanation.encoded, 24, 0.2)  # the same for both
    order = iter(chosen.transpose(0, 1).flatten(0, 1))
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(order).nonzero()[:, 0].numpy())
    measure = quantus.FaithfulnessCorrelation(nr_runs=24, subset_size=13, **OPTIONS)
    theirs = measure(**data)
    ours = mu_fidelity(explanation, chosen, subset_drops(rd, explanation.encoded, chosen))
    torch.testing.assert_close(ours, torch.tensor(np.array(theirs)).to(ours), rtol=0, atol=1e-5)
    assert next(order, None) is None

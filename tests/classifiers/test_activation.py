"""What makes probabilities of a classifier's outputs: one output, several labels at once."""

import copy

import pytest
import torch
from torch import nn

from amortex.core.errors import InputError
from amortex.explainers.presets import PRESETS
from amortex.explainers.rde import RDE
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier


class TwoLogits(nn.Module):
    """One logit as two: nothing for the first class."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(x), x], 1)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_single_output_means_two_classes(activation, images64):
    """Trained with binary cross-entropy: the same as two logits, and both classes have gradients."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 7 * 7, 1))
    single = build_classifier(copy.deepcopy(net), (3, 16, 16), "single", activation).double()
    double = build_classifier(nn.Sequential(copy.deepcopy(net), TwoLogits()), (3, 16, 16), "double").double()
    assert single.num_classes == 2
    net.double()
    probabilities = single.probabilities(single(images64))
    torch.testing.assert_close(probabilities, double.probabilities(double(images64)))
    torch.testing.assert_close(probabilities[:, 1], net(single.normalise(images64))[:, 0].sigmoid())
    pipelines = [RateDistortion(classifier, Wavelet("haar", 2)) for classifier in (single, double)]
    masks = [RDE(rd, 1.0, PRESETS["fast"].but(steps=20)).explain(images64).mask for rd in pipelines]
    torch.testing.assert_close(*masks, rtol=0, atol=1e-6)
    first = torch.zeros(len(images64), dtype=torch.long)
    relevance = WAM(pipelines[0]).explain(images64, first).relevance
    assert (relevance.sum(1) > 0).all()


def test_several_labels_at_once_have_probabilities_of_their_own(tiny_classifier, images):
    several = build_classifier(tiny_classifier.model, (3, 32, 32), "several", "sigmoid")
    logits = several(images)
    torch.testing.assert_close(several.probabilities(logits), logits.sigmoid())
    torch.testing.assert_close(several.log_probabilities(logits).exp(), logits.sigmoid())
    with pytest.raises(InputError, match="several labels have none"):
        RateDistortion(several, Wavelet("haar", 2), distortion="kl")

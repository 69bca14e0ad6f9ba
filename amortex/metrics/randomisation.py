"""Classifiers that are randomised layer by layer, beneath explainers that should notice."""

import copy
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn

from amortex.amortized.backbone import Backbone
from amortex.classifiers.copying import DetachedCopies
from amortex.explainers.base import Explainer

MOST_STAGES = 6


def randomisation_stages(model: nn.Module, most: int = MOST_STAGES) -> list[list[nn.Module]]:
    """Modules with weights of their own in groups, from the output on: the last one alone, then equal parts.

    >>> model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 2))
    >>> [[layer.out_features for layer in stage] for stage in randomisation_stages(model)]
    [[2], [4], [4]]
    """
    last, *earlier = [m for m in model.modules() if list(m.parameters(recurse=False))][::-1]
    most = min(most, 1 + len(earlier))
    bounds = [round(index * len(earlier) / max(1, most - 1)) for index in range(most)]
    return [[last], *(earlier[start:stop] for start, stop in pairwise(bounds))]


def cascading_randomisation(explainer: Explainer, most: int = MOST_STAGES, seed: int = 0) -> Iterator[Explainer]:
    """A copy of an explainer whose classifier is randomised one stage further each time it is yielded.

    The values of each weight tensor are shuffled, so that activations keep their scale where batch normalisations are
    folded. It is always the same copy: use it before the next one is asked for.

    References:
        Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018.
    """
    with DetachedCopies():
        explainer = copy.deepcopy(explainer)
    generator = torch.Generator().manual_seed(seed)
    for stage in randomisation_stages(explainer.rate_distortion.classifier.model, most):
        for layer in stage:
            for weights in layer.parameters(recurse=False):
                order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
                weights.data = weights.data.flatten()[order].view(weights.shape)
        for module in explainer.modules():
            if isinstance(module, Backbone):
                module.read_head()
        yield explainer

"""The examples in the docstrings of metrics run, and print what they say."""

import doctest
import importlib
import pkgutil
from dataclasses import replace

import pytest
import torch
from torch import nn

import amortex.metrics
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet

MODULES = [module.name for module in pkgutil.walk_packages(amortex.metrics.__path__, "amortex.metrics.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tiny_classifier, images):
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    explainer = WAM(rd)
    names = {"torch": torch, "nn": nn, "replace": replace, "rd": rd, "classifier": tiny_classifier,
             "explainer": explainer, "explanation": explainer.explain(images)}  # fmt: skip
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs=names).failed == 0


def test_every_metric_has_an_example():
    finder = doctest.DocTestFinder()
    for name in amortex.metrics.__all__:
        public = getattr(amortex.metrics, name)
        if isinstance(public, type) and issubclass(public, amortex.metrics.ImageMean) and name != "ExplanationMetric":
            (example,) = finder.find(public, name)[:1]
            assert example.examples, name

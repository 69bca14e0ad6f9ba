"""The released explainer gives the masks that it gave when it was released, on the two bundled photographs at 224 px.

``golden.safetensors`` holds what was computed then, the masks of one pass in version 0.1: rate, distortion (16 draws),
class, and 256 entries of mask and relevance for each photograph, half of them at log-spaced ranks, half evenly spaced.
With two threads on the machine that made it, all of them are equal to the last bit. Another number of threads, or
another processor, rounds differently. Then a ReLU6 or a pixel at its limit may let a gradient through or not, and each
learned step amplifies the difference, since it follows the gradient at the mask of the step before. One thread, torch
without oneDNN, and single images instead of a batch differed by up to 2e-4 in the mean after one pass, 1.4e-3 after one
learned step and 9e-3 after eight. Another seed, to compare, differs by 7e-2, 2.5e-2 and 3e-2.
"""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.released import released
from amortex.app.recognising import bundled_sources
from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.io.images import Preprocess
from amortex.rate_distortion.certificate import certify

REFERENCE = load_file(Path(__file__).with_name("golden.safetensors"))
SAMPLES = 16


class Case(NamedTuple):
    arguments: dict[str, Any]
    entries: float  # largest mean difference of mask and relevance
    rate: float  # largest relative difference
    distortion: float  # largest difference


CASES = {
    "one_pass": Case({"rate": 0.1, "learned_steps": 0}, entries=5e-4, rate=1e-5, distortion=1e-4),
    "predicted_rate": Case({"learned_steps": 0}, entries=5e-4, rate=1e-5, distortion=1e-4),
    "one_step": Case({"learned_steps": 1}, entries=3e-3, rate=1.4e-2, distortion=1e-3),
    "default": Case({}, entries=1.8e-2, rate=5e-2, distortion=6e-3),
}


@pytest.fixture(scope="module")
def predictor():
    folder = released(DEFAULT_CLASSIFIER)
    assert folder is not None
    return load_predictor(folder)


@pytest.fixture(scope="module")
def image(predictor):
    load = Preprocess(predictor.rate_distortion.classifier.data_config).load
    return torch.stack([load(source.path) for source in bundled_sources()])


@pytest.mark.parametrize("name", CASES)
def test_masks_are_those_of_the_release(name, predictor, image):
    case = CASES[name]
    expected = {
        key: REFERENCE[f"{name}.{key}"] for key in ("target", "index", "mask", "relevance", "rate", "distortion")
    }
    explanation = Amortized(predictor, **case.arguments).explain(image)
    assert explanation.encoded.target.tolist() == expected["target"].tolist()
    index = expected["index"].long()
    for key in ("mask", "relevance"):
        difference = (getattr(explanation, key).gather(1, index) - expected[key]).abs().mean(1)
        assert difference.max() < case.entries
    torch.testing.assert_close(explanation.mask.mean(1), expected["rate"], rtol=case.rate, atol=0)
    certificate = certify(predictor.rate_distortion, explanation.encoded, explanation.mask, SAMPLES)
    torch.testing.assert_close(certificate.distortion.float(), expected["distortion"], rtol=0, atol=case.distortion)

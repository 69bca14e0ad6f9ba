"""The pipeline that the tests of metrics share."""

import pytest

from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet


@pytest.fixture
def rd(tiny_classifier):
    return RateDistortion(tiny_classifier, Wavelet("haar", 2))

"""What tests of the predictor share."""

import pytest
import torch

from amortex.amortized.config import PredictorConfig
from amortex.amortized.predictor import MaskPredictor
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet


@pytest.fixture
def predictor(tiny_classifier):
    torch.manual_seed(0)
    predictor = MaskPredictor(
        RateDistortion(tiny_classifier, Wavelet("haar", 2)), PredictorConfig(width=8), refiner=True
    )
    return predictor.eval()

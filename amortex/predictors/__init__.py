"""Networks that predict masks: image, coefficients, features and gradient -> mask logits."""

from amortex.predictors.predictor import MaskPredictor as MaskPredictor
from amortex.predictors.predictor import Prediction as Prediction

"""Networks that predict masks: image, coefficients, features and gradient -> mask logits."""

from amortex.predictors.prediction import Prediction as Prediction
from amortex.predictors.prediction import Refined as Refined
from amortex.predictors.predictor import MaskPredictor as MaskPredictor

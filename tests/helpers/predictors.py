"""Predictors in a state that training would leave them in."""

import torch

from amortex.amortized.predictor import MaskPredictor


def stirred(predictor: MaskPredictor) -> MaskPredictor:
    """Its refiner away from the zeros that training starts from."""
    with torch.no_grad():
        for parameter in predictor.decoder.refiner.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    return predictor

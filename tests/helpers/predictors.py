"""Predictors in a state that training would leave them in."""

import torch

from amortex.amortized.predictor import MaskPredictor


def stirred(predictor: MaskPredictor) -> MaskPredictor:
    """Its learned steps away from the zeros that training starts from."""
    with torch.no_grad():
        for network in filter(None, (predictor.decoder.refiner, predictor.decoder.path)):
            for parameter in network.parameters():
                parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    return predictor

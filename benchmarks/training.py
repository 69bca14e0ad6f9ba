"""A training step without Lightning around it, which the benchmarks of speed share."""

import torch
from torch import Tensor, nn

from amortex.training.module import AmortizedTrainingModule
from amortex.training.optimization import limit_gradient
from benchmarks.timing import Work


class Loss(nn.Module):
    """The training loss of a batch as a forward pass, which is what distributed training wraps."""

    def __init__(self, module: AmortizedTrainingModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> Tensor:
        loss: Tensor = self.module.objective(image, list(range(len(image))), progress=0.5, step=0)[0]
        return loss


def training_step(module: AmortizedTrainingModule, loss: nn.Module, image: Tensor) -> Work:
    """Loss, gradient, its clipping, and the optimiser's step; `loss` is the module's, as it is or wrapped."""
    optimizer = torch.optim.AdamW(module.predictor.decoder.parameters(), lr=1e-4)

    def step() -> None:
        loss(image).backward()
        limit_gradient(module.predictor.decoder.parameters(), module.optimizer_config.clip)
        optimizer.step()
        optimizer.zero_grad()
        module.average.update_parameters(module.predictor.decoder)

    return step

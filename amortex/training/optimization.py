"""AdamW on one cycle of the learning rate, and gradients that are limited."""

from collections.abc import Iterable

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from amortex.training.config import OptimizerConfig
from amortex.training.schedules import one_cycle


def one_cycle_optimizer(
    parameters: Iterable[nn.Parameter], config: OptimizerConfig, steps: int
) -> OptimizerLRScheduler:
    """AdamW whose learning rate follows one cycle over so many steps, as Lightning takes it."""
    optimizer = AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    cycle = LambdaLR(optimizer, lambda step: one_cycle(step / steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


def apply_config(optimizer: Optimizer, schedule: LambdaLR, config: OptimizerConfig) -> None:
    """Give an optimiser of a checkpoint, which has the settings of the checkpoint, those of this run."""
    schedule.base_lrs = [config.lr] * len(optimizer.param_groups)
    for group, factor in zip(optimizer.param_groups, schedule.lr_lambdas, strict=True):
        lr = config.lr * factor(schedule.last_epoch)
        group.update(lr=lr, initial_lr=config.lr, weight_decay=config.weight_decay)


def limit_gradient(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Clip the gradient to a norm, and set it to zero where it is not finite; the norm before."""
    parameters = list(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.nan_to_num_(0, 0, 0)
    return norm

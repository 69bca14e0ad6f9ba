"""How masks move: optimisers with a projection, and the cosine on which learning rates fall."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from amortex.core.masks import rate


def cosine(progress: float) -> float:
    """From 1 to 0 on a cosine, for a `progress` from 0 to 1."""
    return (1 + math.cos(math.pi * progress)) / 2


class ProjectedOptimizer:
    """An optimiser of torch's that moves masks ``(B, k)`` in place, and clips them to [0, 1] after each step.

    Arguments:
        method: such as `torch.optim.Adam`.
        mask: where it starts.
        lr: learning rate.
        **arguments: further arguments of the method.

    >>> mask = torch.ones(1, 2)
    >>> ProjectedOptimizer(torch.optim.Adam, mask, lr=0.25).step(torch.tensor([[1.0, -1.0]]))
    >>> mask
    tensor([[0.7500, 1.0000]])
    """

    def __init__(self, method: Callable[..., torch.optim.Optimizer], mask: Tensor, lr: float, **arguments: Any) -> None:
        self.mask, self.lr = mask, lr
        self.optimizer = method([mask], lr=lr, **arguments)

    def step(self, gradient: Tensor, factor: float = 1.0) -> None:
        """A step along a gradient ``(B, k)``, at the learning rate times `factor`."""
        self.mask.grad = gradient
        self.optimizer.param_groups[0]["lr"] = self.lr * factor
        self.optimizer.step()
        self.mask.grad = None
        self.mask.clamp_(0, 1)

    @property
    def moments(self) -> list[Tensor]:
        """Running means of the gradient and of its square, ``(B, k)`` each, after the first step."""
        state = self.optimizer.state[self.mask]
        return [state["exp_avg"], state["exp_avg_sq"]]


class RelativeAdam:
    """Adam whose epsilon is relative to each input's gradient: entries that hardly matter hardly move.

    Arguments:
        betas: decay of the running means of the gradient and of its square.
        eps: what is added to the root of the latter, as a multiple of its root mean square over the entries.
        mask: like those to be moved, ``(B, k)``.
        live: entries that count, ``(B, k)``; by default all.
    """

    def __init__(self, betas: tuple[float, float], eps: float, mask: Tensor, live: Tensor | None = None) -> None:
        self.betas, self.eps, self.live, self.steps = betas, eps, live, 0
        self.first, self.second = torch.zeros_like(mask), torch.zeros_like(mask)

    def step(self, mask: Tensor, gradient: Tensor, lr: Tensor) -> Tensor:
        """Masks ``(B, k)`` after a step along a gradient ``(B, k)``, with a learning rate ``(B, 1)`` for each input."""
        first, second = self.moments(gradient)
        deviation = second.sqrt() + self.eps * rate(second, self.live)[:, None].sqrt()
        return mask - lr * first / deviation.clamp(min=1e-20)

    def moments(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Running means of the gradient and of its square after one more gradient, without Adam's bias to zero."""
        self.steps += 1
        self.first = torch.lerp(gradient, self.first, self.betas[0])
        self.second = torch.lerp(gradient.square(), self.second, self.betas[1])
        return self.first / (1 - self.betas[0] ** self.steps), self.second / (1 - self.betas[1] ** self.steps)

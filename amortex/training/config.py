"""Settings of training, as plain values. Each is a group of options of ``train.py fit``."""

import math
from dataclasses import dataclass
from typing import Any

from amortex.core.errors import InputError


def require(holds: bool, name: str, condition: str) -> None:
    """Raises InputError unless a setting holds what it must."""
    if not holds:
        raise InputError(f"{name} must be {condition}")


def plain_values(value: Any) -> Any:
    """The same with lists for tuples, as files keep it."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    return [plain_values(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class ObjectiveConfig:
    """What the training loss is made of.

    Arguments:
        masks: masks per image and step, of different rates, under the same noise.
        samples: noise draws per mask.
        monotone: how much more a mask counts whose distortion is above that of the next lower rate.
        first_rates, rates: intervals from which rates are drawn log-uniformly, at the start and after the curriculum.
        curriculum: share of the steps over which the interval moves.
        warm_up: steps at the start that imitate a teacher instead: the masks that `teacher_steps` steps of CartoonX
            reach from the predicted ones. They are biased targets (clipped, unfinished), so it is off by default.
        teacher_steps: of CartoonX, two draws each.

    Raises:
        InputError: values out of range.
    """

    masks: int = 2
    samples: int = 1
    monotone: float = 4.0
    first_rates: tuple[float, float] = (0.3, 0.98)
    rates: tuple[float, float] = (0.01, 0.95)
    curriculum: float = 0.4
    warm_up: int = 0
    teacher_steps: int = 10

    def __post_init__(self) -> None:
        for low, high in (self.first_rates, self.rates):
            require(0 < low < high < 1, "rates", f"intervals within (0, 1), not ({low}, {high})")
        require(0 <= self.curriculum <= 1, "curriculum", "in [0, 1]")
        require(0 <= self.monotone < math.inf, "monotone", "at least 0 and finite")
        for name in ("masks", "samples", "teacher_steps"):
            require(getattr(self, name) >= 1, name, "at least 1")


@dataclass(frozen=True)
class RefinementConfig:
    """What is learned of refinement.

    Arguments:
        steps: steps of learned refinement, per image and training step; 0 means there is none to learn.
        only: train nothing else.

    Raises:
        InputError: values out of range.
    """

    steps: int = 0
    only: bool = False

    def __post_init__(self) -> None:
        require(self.steps >= self.only, "refinement.steps", "at least 0, and above it for refinement.only")


@dataclass(frozen=True)
class OptimizerConfig:
    """How the weights move.

    Arguments:
        lr, weight_decay: of AdamW; the learning rate follows one cycle over the trainer's `max_steps`.
        ema: decay of the running mean of the weights, which is what is validated and exported.
        clip: largest norm of the gradient.

    Raises:
        InputError: values out of range.
    """

    lr: float = 3e-3
    weight_decay: float = 0.01
    ema: float = 0.998
    clip: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.lr < math.inf, "lr", "above 0 and finite")
        require(0 <= self.weight_decay < math.inf, "weight_decay", "at least 0 and finite")
        require(0 <= self.ema < 1, "ema", "in [0, 1)")
        require(self.clip > 0, "clip", "above 0")

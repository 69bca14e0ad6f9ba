"""Settings of training, as plain values. Each class is a group of options of ``train.py fit``."""

import math
from dataclasses import dataclass
from typing import Any

from amortex.amortized.config import PATH_WEIGHTS, REFINER_WEIGHTS
from amortex.core.errors import InputError


def require(holds: bool, name: str, condition: str) -> None:
    """Raises InputError, which names a setting and its condition, unless the condition holds."""
    if not holds:
        raise InputError(f"{name} must be {condition}")


def plain_values(value: Any) -> Any:
    """The value with lists for tuples, as files hold them."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    return [plain_values(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class ObjectiveConfig:
    """The training loss of masks.

    Arguments:
        masks: masks per image and step, of different rates, under the same noise.
        samples: noise draws per mask.
        monotone: additional weight of a mask whose distortion is above that of the next lower rate.
        rise_threshold: of the distortion from one rate to the next; a larger one counts as a rise.
        first_rates, rates: intervals at the start and after the curriculum; rates are log-uniform in them.
        rate_spread: largest distance between the rates of an image, as a share of the interval's logarithm.
        curriculum: share of the steps over which the interval moves.
        warm_up: steps at the start that imitate a teacher instead: CartoonX, which starts at the predicted masks. Its
            masks are biased targets, because they are clipped and unfinished; so it is off by default.
        teacher_steps, teacher_samples, teacher_lr: of the teacher.
        smallest_side: each batch of images is shrunk to a size that is drawn for it, with a shorter side between this
            and the classifier's own: for explainers that are used at several sizes. By default none is.

    Raises:
        InputError: values out of range.
    """

    masks: int = 2
    samples: int = 1
    monotone: float = 4.0
    rise_threshold: float = 0.01
    first_rates: tuple[float, float] = (0.3, 0.98)
    rates: tuple[float, float] = (0.01, 0.95)
    rate_spread: float = 0.3
    curriculum: float = 0.4
    warm_up: int = 0
    teacher_steps: int = 10
    teacher_samples: int = 2
    teacher_lr: float = 2e-2
    smallest_side: int | None = None

    def __post_init__(self) -> None:
        for low, high in (self.first_rates, self.rates):
            require(0 < low < high < 1, "rates", f"intervals within (0, 1), not ({low}, {high})")
        require(0 <= self.curriculum <= 1, "curriculum", "in [0, 1]")
        require(0 <= self.rate_spread <= 1, "rate_spread", "in [0, 1]")
        require(0 <= self.monotone < math.inf, "monotone", "at least 0 and finite")
        require(0 <= self.rise_threshold < math.inf, "rise_threshold", "at least 0 and finite")
        require(0 < self.teacher_lr < math.inf, "teacher_lr", "above 0 and finite")
        for name in ("masks", "samples", "teacher_steps", "teacher_samples"):
            require(getattr(self, name) >= 1, name, "at least 1")


@dataclass(frozen=True)
class RefinementConfig:
    """The training of learned refinement.

    Arguments:
        steps: steps of refinement per image and training step, of unrolled refinement at most; without any, no
            refinement is learned.
        only: train nothing else.
        lambda_margin: factor by which sparsity weights are drawn beyond the interval of those that are validated.
        initial_rates: interval of the rate of initial masks, as a factor of the rate that the predictor expects to be
            best.
        min_schedule: the shortest schedule of the sparsity weight, as a share of the steps; schedules are log-uniform
            between this and 1. Unrolled refinement has the schedule that it is used with.
        unrolled: backpropagate through the steps, so that they learn where they lead together, and not what each of
            them wins alone. Their number is log-uniform between `fewest_steps` and `steps`.
        fewest_steps: of unrolled refinement.
        other_targets: share of the inputs that are explained for another probable class, so that steps know these.
        path_steps: learned steps of densification paths per image and training step. With any, nothing else is trained;
            the other settings are those that the refiner was trained with.

    Raises:
        InputError: values out of range.
    """

    steps: int = 0
    only: bool = False
    lambda_margin: float = 1.5
    initial_rates: tuple[float, float] = (0.5, 4.0)
    min_schedule: float = 0.15
    unrolled: bool = False
    fewest_steps: int = 4
    other_targets: float = 0.0
    path_steps: int = 0

    @property
    def trained(self) -> str:
        """Prefix of the weights of the decoder that are trained."""
        return PATH_WEIGHTS if self.path_steps else REFINER_WEIGHTS if self.only else ""

    def __post_init__(self) -> None:
        low, high = self.initial_rates
        require(0 < low <= high < math.inf, "initial_rates", f"an interval above 0, not ({low}, {high})")
        require(1 <= self.lambda_margin < math.inf, "lambda_margin", "at least 1 and finite")
        require(0 < self.min_schedule <= 1, "min_schedule", "above 0 and at most 1")
        require(0 <= self.other_targets <= 1, "other_targets", "in [0, 1]")
        needed = "at least 0, and above it for the other settings of refinement"
        require(self.path_steps >= 0, "path_steps", "at least 0")
        require(
            self.steps >= (self.only or self.unrolled or self.other_targets > 0 or self.path_steps > 0),
            "refinement.steps",
            needed,
        )
        fewest = f"at least 1, and at most refinement.steps ({self.steps})"
        require(not self.unrolled or 1 <= self.fewest_steps <= self.steps, "refinement.fewest_steps", fewest)


@dataclass(frozen=True)
class OptimizerConfig:
    """How the weights are optimised.

    Arguments:
        lr, weight_decay: of AdamW. The learning rate follows one cycle over the trainer's `max_steps`.
        ema: decay of the running mean of the weights, which is validated and exported.
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


def check_validation(lambda_k: tuple[float, ...], samples: int, refinement: RefinementConfig) -> None:
    """Raises InputError unless masks can be validated at these sparsity weights with so many noise draws."""
    require(samples >= 1, "validation_samples", "at least 1")
    positive = refinement.steps > 0  # its weights are drawn on a log scale
    valid = all((value > 0 if positive else value >= 0) and value < math.inf for value in lambda_k)
    require(bool(lambda_k) and valid, "lambda_k", f"finite numbers {'above 0' if positive else 'at least 0'}")

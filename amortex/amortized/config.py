"""Settings of the amortized explainer, as plain values: importing them imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from amortex.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

REFINER_WEIGHTS, PATH_WEIGHTS = "refiner.", "path."  # prefixes of those of the decoder that take learned steps


@dataclass(frozen=True)
class PredictorConfig:
    """How a `MaskPredictor` is built.

    Arguments:
        features: whether to read the classifier's feature maps; a black box has none.
        encoder: timm name of a network to learn feature maps with instead, from the input: for classifiers that are
            black boxes. It must be one without batch normalisation, such as ``convnext_atto``.
        gradient: whether to probe the gradient of the class's score once, which costs one forward and backward pass.
        width: of the decoder (channels at level 2).
        condition: size of the vector that tells the decoder of the class.
    """

    features: bool = True
    encoder: str | None = None
    gradient: bool = True
    width: int = 32
    condition: int = 64

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "PredictorConfig":
        """The settings in a table; what it lacks is by default."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in settings.items() if key in known})


@dataclass(frozen=True)
class FallConfig:
    """How a sparsity weight falls.

    Near a good mask the output hardly misses, and the gradient of one entry is noise. At a higher weight the output
    misses more, and shows what is needed.

    Arguments:
        peak: the weight at the start, as a multiple of lambda_k.
        descent: share of the steps over which it falls to lambda_k.
        tolerance: running distortion, as a share of that of the empty mask, at which it is lambda_k in any case.
        memory: decay of that running distortion, per step.
    """

    peak: float = 4.0
    descent: float = 0.7
    tolerance: float = 0.3
    memory: float = 0.7


@dataclass(frozen=True)
class RescueConfig:
    """When an input that has lost its class goes back to where it had it, and with how much caution.

    What is *missing* of a class is ``1 - q / p``, for its probability q in one draw and p on the input.

    Arguments:
        healthy: a mask with less missing is one to go back to.
        lost: with more missing, the class is lost in that draw.
        lost_probes: draws in a row in which it is: one may be an accident.
        steps_left: with fewer, it stays lost: the rate that comes back would not fall again.
        caution: what is left of the sparsity weight then; it rises to all of it until the end.
    """

    healthy: float = 0.55
    lost: float = 0.9
    lost_probes: int = 2
    steps_left: int = 16
    caution: float = 0.25


@dataclass(frozen=True)
class RefinementSchedule:
    """How the steps of learned refinement follow each other.

    With few steps the sparsity weight rises from step to step. A step lowers the objective as far as it can at once: at
    a high weight it drops entries faster than others can be found, until the class is lost, and with it the gradient.
    So the first steps find the entries that matter, at a low weight. The fewer steps there are, the higher they start,
    since few steps cannot drop much. Within `falling_steps` it falls, and is high only where the class is kept; beyond,
    that wins nothing.

    Arguments:
        default_steps: number of steps where none is asked for.
        initial_rate_factor: the first mask has the best rate for the first sparsity weight, times this.
        initial_lambda_scale: the first sparsity weight, as a multiple of ``lambda_k / steps``,
        largest_initial_lambda: at most this share of lambda_k,
        first_lambda: and at least this.
        rise: share of the steps over which the sparsity weight rises to lambda_k.
        lowest_lambda: lower sparsity weights count as this one; the network has seen none lower.
        averaged_tail: average the masks of the last steps, one of so many: single steps are noisy.
        prune_threshold: lower mask values become zero: they cost rate, and keep nothing.
        fall: how the sparsity weight falls.
        falling_steps: it falls with so many steps at least, and so many at most, for predicted classes; otherwise it
            rises.
        rescue: when an input that has lost its class goes back to where it had it.
        unrolled: whether refiners were trained through their steps, under a weight that falls: then it falls with any
            number of them, and for any class.
        any_target: whether refiners were trained for other classes than the predicted one, too.
        rate_of_others: the first mask of such a class has this rate; the predictor expects none for it.
        tie_break_weight: weight of the predicted logits in the order of the entries. Most logits of a refined mask are
            at their lower limit, where they do not tell entries apart.
    """

    default_steps: int = 8
    initial_rate_factor: float = 1.5
    initial_lambda_scale: float = 2.0
    largest_initial_lambda: float = 0.5
    first_lambda: float = 1.0
    rise: float = 0.75
    lowest_lambda: float = 1e-2
    averaged_tail: int = 8
    prune_threshold: float = 0.02
    fall: FallConfig = FallConfig()
    falling_steps: tuple[int, int] = (19, 60)
    rescue: RescueConfig = RescueConfig()
    unrolled: bool = False
    any_target: bool = False
    rate_of_others: float = 0.1
    tie_break_weight: float = 1 / 64

    @classmethod
    def trained_by(cls, refinement: Mapping[str, Any]) -> "RefinementSchedule":
        """The schedule for refiners that were trained by the settings of a `RefinementConfig`, as a table."""
        return cls(unrolled=refinement.get("unrolled", False), any_target=refinement.get("other_targets", 0) > 0)

    def initial_lambda(self, lambda_k: "Tensor", steps: int) -> "Tensor":
        """Sparsity weights ``(B,)`` of the first of so many steps towards `lambda_k` ``(B,)``."""
        scale = min(self.initial_lambda_scale / max(1, steps), self.largest_initial_lambda)
        return (lambda_k * scale).clamp(min=self.first_lambda)


@dataclass(frozen=True)
class PathConfig:
    """How the midpoint of a densification path is optimised: by learned steps, if any, and Adam (see `PathOptimizer`).

    Arguments:
        start_rate: all entries rise evenly up to this rate, so that masks of lower rates need no optimisation.
        midpoint_rate: rate of the midpoint.
        rates: rates along the path at which each step draws noise.
        steps: steps of Adam.
        averaged_steps: average the masks of the last steps: single ones are noisy.
        lr: learning rate of the first step.
        final_lr_share: share of it that the last step has.
        slow_below: root of the distortion below which steps become smaller.
        betas: of Adam.
        eps: of Adam, relative to the gradient of the input.
        smoothing: side, in entries, of the neighbourhood over which gradients are averaged: one draw says little of an
            entry, but neighbours agree.
        rise: distortion may rise by this much from a rate to a higher one.
        measured_rates: rates at which the path is measured: one more than `rates`, and each but the first belongs to
            one of these.
        samples: noise draws of a measurement.
        standard_errors: how many are added to a measured rise.
        rounds: most rounds of further steps, as long as distortion rises.
        restart_lr: learning rate of the first step of each.
        focus: how much more weight rates have there up to which distortion rises.
        learned_steps: most steps of explainers that have learned them, instead of the first round of Adam.
        settled: running distortion along the path below which these end early.

    Raises:
        InputError: not one more of `measured_rates` than of `rates`; `learned_steps` below 0.
    """

    start_rate: float = 0.06
    midpoint_rate: float = 0.5
    rates: tuple[float, ...] = (0.15, 0.3, 0.5, 0.7)
    steps: int = 24
    averaged_steps: int = 10
    lr: float = 0.06
    final_lr_share: float = 0.2
    slow_below: float = 0.15
    betas: tuple[float, float] = (0.8, 0.9)
    eps: float = 0.1
    smoothing: int = 5
    rise: float = 0.01
    measured_rates: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5, 0.7)
    samples: int = 32
    standard_errors: float = 1.5
    rounds: int = 5
    restart_lr: float = 0.04
    focus: float = 8
    learned_steps: int = 6
    settled: float = 0.01

    def __post_init__(self) -> None:
        if len(self.measured_rates) != len(self.rates) + 1:
            raise InputError("a path is measured at one rate more than its steps draw noise at")
        if self.learned_steps < 0:
            raise InputError(f"learned_steps of a path must be at least 0, not {self.learned_steps}")

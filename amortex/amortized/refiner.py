"""Learned refinement: one shared network that sees the gradient at the current mask, and moves the mask."""

from typing import NamedTuple

import torch
from torch import Tensor

from amortex.amortized.evidence import Evidence, GradientProbe, signals
from amortex.amortized.moves import Hidden, Moves
from amortex.rate_distortion.distortions import label_l2_slope, target_probability
from amortex.rate_distortion.encoded_batch import EncodedBatch

RECENT_MEMORY = 0.7  # decay of the running mean over the last probes
LONGEST_SPAN = 16  # probes that the long running mean is over: a single draw says little of an entry
LARGEST_LOGIT = 12.0
SIGNALS_PER_ENTRY, NUMBERS_PER_INPUT = 12, 9  # what the network sees


class State(NamedTuple):
    """Where the refinement of a batch is."""

    logits: Tensor  # (B, k), of the masks
    recent: Tensor  # (B, 3, k), running mean over the last probes: damage and effect (as signals), marginal gain
    long: Tensor  # (B, 3, k), the same over more probes
    step: int
    steps: int | None  # in all, which refiners that were not trained unrolled are not told

    @property
    def mask(self) -> Tensor:
        return self.logits.sigmoid()


class Refiner(Moves):
    """A learned optimiser of masks: (state, gradient probe there) -> state.

    A gradient-based optimiser knows the past gradients of an entry. This one also knows its neighbours, the coarser
    levels, the classifier's features, the sparsity weight and the probability that is left of the class. All steps
    share the weights.

    Arguments:
        levels, dims, width, condition: see `Moves`.

    References:
        Andrychowicz et al., Learning to learn by gradient descent by gradient descent, NeurIPS 2016.
    """

    def __init__(self, levels: int, dims: int, width: int = 32, condition: int = 64) -> None:
        super().__init__(SIGNALS_PER_ENTRY, NUMBERS_PER_INPUT, levels, dims, width, condition)

    def forward(
        self, evidence: Evidence, hidden: Hidden, lambda_k: Tensor, state: State, probe: GradientProbe
    ) -> State:
        """The state after one step, for sparsity weights `lambda_k` ``(B,)`` above 0."""
        mask = state.mask
        latest = torch.stack(
            [*signals(probe.damage, probe.effect, evidence.encoded.live), marginal_gain(evidence.encoded, probe)], 1
        )
        recent = torch.lerp(latest, state.recent, RECENT_MEMORY if state.step else 0.0)
        long = torch.lerp(state.long, latest, 1 / min(state.step + 1, LONGEST_SPAN))
        # an entry whose gain is its cost is at about 1/2
        gains = torch.stack([latest[:, 2], recent[:, 2], long[:, 2]], 1)
        gains = (gains / lambda_k[:, None, None]).asinh() / 2
        known = (
            state.logits / 4, mask, *latest[:, :2].unbind(1), *recent[:, :2].unbind(1), evidence.contrast,
            *long[:, :2].unbind(1), *gains.unbind(1),
        )  # fmt: skip
        numbers = progress_numbers(evidence, lambda_k, mask, probe, state)
        move = self.move(known, numbers, hidden, evidence.encoded.layout)
        logits = (state.logits + move).clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
        return State(logits, recent, long, state.step + 1, state.steps)


def initial_state(mask: Tensor, steps: int | None) -> State:
    """The state that begins with masks ``(B, k)`` a refinement of so many steps, if the refiner is told."""
    unseen = mask.new_zeros(len(mask), 3, mask.shape[1])
    return State(mask.clamp(1e-5, 1 - 1e-5).logit(), unseen, unseen, 0, steps)


def marginal_gain(encoded: EncodedBatch, probe: GradientProbe) -> Tensor:
    """By how much an entry lowers the distortion per unit of rate, ``(B, k)``: at an optimum, lambda_k."""
    assert probe.mask_gradient is not None
    slope = label_l2_slope(probe.log_probability, aimed_at(encoded))
    return -slope[:, None] * probe.mask_gradient * encoded.entries


def probed_distortion(encoded: EncodedBatch, probe: GradientProbe) -> Tensor:
    """The squared error ``(B,)`` of the target's probability at the probe's one draw."""
    return (probe.log_probability.exp() - aimed_at(encoded)).square()


def aimed_at(encoded: EncodedBatch) -> Tensor:
    """The probability ``(B,)`` that masks should give to the target."""
    return target_probability(encoded.probabilities, encoded.target, encoded.predicted)


def progress_numbers(evidence: Evidence, lambda_k: Tensor, mask: Tensor, probe: GradientProbe, state: State) -> Tensor:
    """Where refinement is, ``(B, NUMBERS_PER_INPUT)``: sparsity weight, rate, probabilities, size of the gradient, and
    the steps that are done and left."""
    left = 0.0 if state.steps is None else 2 / (1 + state.steps - state.step)
    p = evidence.encoded.probabilities.gather(1, evidence.encoded.target[:, None])[:, 0]
    q, rate = probe.log_probability.exp(), evidence.encoded.rate(mask)
    total_damage = probe.damage.mean(1).mul(mask.shape[1]).add(1e-12)
    return torch.stack([
        lambda_k.log(), rate.clamp(min=1e-6).log() / 2, p, q, 4 * (q - p), probe.log_probability.clamp(min=-12) / 4,
        total_damage.log() / 4, torch.full_like(p, 1 / (1 + state.step)),
        torch.full_like(p, left),
    ], 1)  # fmt: skip

"""Learned refinement: one shared network that looks at the gradient at the current mask, and moves the mask."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from amortex.amortized.blocks import ORIENTATIONS, Level, width_at
from amortex.amortized.evidence import Evidence, GradientProbe, signals
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import class_probability

LOWEST = 1e-2  # price: nothing is learned of lower ones
MEMORY = 0.7  # of the running means of what was seen lately
SPAN = 16  # looks, of those of what was seen for long: one draw says little of an entry
LARGEST = 12.0  # logit
FIRST_LAMBDA, RISE = 1.0, 0.75  # where the price of the mask begins, and the share of the steps over which it rises
INITIAL_LAMBDA_SCALE, LARGEST_INITIAL_LAMBDA_SCALE = (
    2.0,
    0.5,
)  # the first price over lambda_k: the former over the number of steps, at most the latter
KL_WEIGHT = 0.05  # weight of a divergence whose gradient does not vanish where the class is lost
SIGNALS, NUMBERS = 12, 8  # what is known per entry, and per image


class Hidden(NamedTuple):
    """What the decoder knows about an image beside its logits."""

    condition: Tensor  # (B, condition)
    stages: tuple[Tensor, ...]  # (B, width, h, w), coarse to fine


class State(NamedTuple):
    """Where the refinement of a batch of images is."""

    logits: Tensor  # (B, k), of the masks
    recent: Tensor  # (B, 3, k), running mean: damage and effect, as signals, and what an entry is worth
    long: Tensor  # (B, 3, k), the same over more looks
    step: int

    @property
    def mask(self) -> Tensor:
        return self.logits.sigmoid()


class Refiner(nn.Module):
    """A learned optimiser of masks: (state, look at the gradient there) -> state.

    An optimiser by gradients knows of an entry what its own gradients were; this one also knows its neighbours, the
    coarser levels, the classifier's features, the price of the mask and what is left of the class. All steps share
    the weights. Like the decoder, it is convolutional.

    Arguments:
        levels: number of wavelet levels J.
        width: of the decoder.
        condition: size of the decoder's vector, and of the one that modulates the levels here.

    References:
        Andrychowicz et al., Learning to learn by gradient descent by gradient descent, NeurIPS 2016.
    """

    def __init__(self, levels: int, width: int = 32, condition: int = 64) -> None:
        super().__init__()
        self.levels = levels
        self.embed = nn.Sequential(
            nn.Linear(condition + NUMBERS, condition), nn.Hardswish(), nn.Linear(condition, condition),
            nn.LayerNorm(condition),
        )  # fmt: skip
        self.stages = nn.ModuleList()
        above = 0
        for level in range(levels, 0, -1):
            entries, own = ORIENTATIONS + (level == levels), width_at(level, width)
            inner = max(own // 2, 16)
            self.stages.append(Level(inner, entries, SIGNALS * entries + own, 0, above, condition, 2 * inner, 1))
            above = inner
        self.shift = nn.Linear(condition, levels + 1)  # of the low-pass, and of each level: these settle the rate
        nn.init.zeros_(self.shift.weight)
        nn.init.zeros_(self.shift.bias)

    def forward(
        self, evidence: Evidence, hidden: Hidden, lambda_k: Tensor, state: State, probe: GradientProbe
    ) -> State:
        """The state after one step, for sparsity weights `lambda_k` ``(B,)``."""
        layout = evidence.encoded.layout
        mask = state.mask
        now = torch.stack([*signals(probe), marginal_gain(evidence.encoded, probe)], 1)
        recent = torch.lerp(now, state.recent, MEMORY if state.step else 0.0)
        long = torch.lerp(state.long, now, 1 / min(state.step + 1, SPAN))
        cost = lambda_k.clamp(min=LOWEST)[:, None, None]
        value = (torch.stack([now[:, 2], recent[:, 2], long[:, 2]], 1) / cost).asinh() / 2  # at 1/2 worth its price
        known = (
            state.logits / 4, mask, *now[:, :2].unbind(1), *recent[:, :2].unbind(1), evidence.contrast,
            *long[:, :2].unbind(1), *value.unbind(1),
        )  # fmt: skip
        condition = self.embed(torch.cat([hidden.condition, numbers(evidence, lambda_k, mask, probe, state.step)], 1))
        # orientations become channels
        given = [band.flatten(1, -3) for band in layout.split(torch.stack(known, 1))]
        moves, above = [mask] * (self.levels + 1), None
        for stage, level, deep in zip(self.stages, range(self.levels, 0, -1), hidden.stages, strict=True):
            here = [given[level], deep] if level < self.levels else [given[level], given[0], deep]
            entered = torch.cat(here, 1).contiguous(memory_format=torch.channels_last)
            out, above = stage(entered, None, above, condition, layout.size, level)
            moves[level] = out[:, :ORIENTATIONS]
            if level == self.levels:
                moves[0] = out[:, ORIENTATIONS]
        move = layout.join(moves) + self.shift(condition)[:, layout.level]
        logits = (state.logits + move).clamp(-LARGEST, LARGEST)
        return State(logits, recent, long, state.step + 1)


def push(log_probability: Tensor, target_probability: Tensor) -> Tensor:
    """Slope ``(B,)`` in log q of the squared miss of the `target_probability` probability and, `KL_WEIGHT` times, of the divergence."""
    q = log_probability.exp()
    return 2 * (q - target_probability) * q - KL_WEIGHT * (
        target_probability - (1 - target_probability) * q / (1 - q).clamp(min=1e-6)
    )


def target_probability(encoded: EncodedBatch) -> Tensor:
    """The probability ``(B,)`` that classes should have: their own, or for one that is not predicted 1."""
    return torch.where(encoded.predicted, class_probability(encoded), 1.0)


def marginal_gain(encoded: EncodedBatch, probe: GradientProbe) -> Tensor:
    """By how much keeping an entry lowers the distortion, ``(B, k)``, in units of rate: at a minimum, its price."""
    assert probe.slope is not None
    return -push(probe.log_probability, target_probability(encoded))[:, None] * probe.slope * probe.slope.shape[1]


def lambda_t(lambda_k: Tensor, step: int, steps: int | Tensor, first: Tensor | float = FIRST_LAMBDA) -> Tensor:
    """The price ``(B,)`` of step number `step`, from 0, of `steps`: from a low one, `first`, up to lambda_k.

    A step lowers the objective as far as it can at once. At a high price that is by dropping entries faster than the
    others can be found, until the class is lost, and with it the gradient. So first find the entries that matter.
    """
    lambda_k = lambda_k.clamp(min=LOWEST)
    first = torch.minimum(torch.as_tensor(first, device=lambda_k.device, dtype=lambda_k.dtype), lambda_k)
    done = (step + 1) / (RISE * steps)
    done = done.clamp(max=1) if isinstance(done, Tensor) else min(1.0, done)
    return first ** (1 - done) * lambda_k**done


def numbers(evidence: Evidence, lambda_k: Tensor, mask: Tensor, probe: GradientProbe, step: int) -> Tensor:
    """``(B, NUMBERS)``: the price and the rate, the class's probability and what is left of it, the slopes' size."""
    p = evidence.encoded.probabilities.gather(1, evidence.encoded.target[:, None])[:, 0]
    q, rate = probe.log_probability.exp(), mask.mean(1)
    steep = probe.damage.mean(1).mul(mask.shape[1]).add(1e-12).log()
    return torch.stack([
        lambda_k.log(), rate.clamp(min=1e-6).log() / 2, p, q, 4 * (q - p), probe.log_probability.clamp(min=-12) / 4, steep / 4,
        torch.full_like(p, 1 / (1 + step)),
    ], 1)  # fmt: skip


def begin(mask: Tensor) -> State:
    """The state that begins with masks ``(B, k)``."""
    nothing = mask.new_zeros(len(mask), 3, mask.shape[1])
    return State(mask.clamp(1e-5, 1 - 1e-5).logit(), nothing, nothing, 0)

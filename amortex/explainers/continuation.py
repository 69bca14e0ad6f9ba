"""Continuation in the sparsity weight: what makes few steps enough."""

import torch
from torch import Tensor

DESCENT_SHARE = 0.7  # share of the steps over which the weight falls to lambda_k
FREEZE_SHARE = 0.5  # share of the steps from which an entry at zero stays there
DISTORTION_MEMORY = 0.8  # of the running distortion, per step
RUINED_DAMAGE = 0.5  # damage from which a mask is set back to its last healthy state


class Continuation:
    """The sparsity weight lambda_t per image and step: from ``peak * sqrt(lambda_k) * span`` down to lambda_k.

    Adam divides by the noise of the distortion's gradient. At the weight lambda_k an irrelevant entry therefore creeps
    towards zero, while at a high weight it moves at full speed. The weight falls quadratically over the first
    `DESCENT_SHARE` of the steps, so that entries can come back while the learning rate is still high (after a linear
    fall masks end too sparse).

    The *damage* of an image is its running distortion on a scale from that of the full mask (0) to that of the empty
    one (1). It is squared where the distortion is a norm, which rises at once beside zero and would keep the weight
    low. The weight is reduced in proportion to the damage, down to lambda_k at `tolerance`. A mask can be ruined all
    the same while the weight is high. It is then set back to where its damage was last below `tolerance`, because an
    empty mask has no gradient to come back.

    Arguments:
        lambda_k: the weight at the end.
        peak: sets the weight at the start, above 0. `span` is the distance between the distortions of the empty and the
            full mask; the root is empirical.
        tolerance: damage, above 0, at which the weight is back at lambda_k.
        full, empty: distortions of the full and of the empty mask, ``(B,)``.
        mask: where the optimisation starts, ``(B, k)``.
        is_norm: whether the distortion is a norm, not its square, ``(B,)`` bool.
    """

    def __init__(
        self,
        lambda_k: float,
        peak: float,
        tolerance: float,
        full: Tensor,
        empty: Tensor,
        mask: Tensor,
        is_norm: Tensor,
    ) -> None:
        self.lambda_k, self.tolerance, self.is_norm = lambda_k, tolerance, is_norm
        self.empty, self.full, self.span = empty, full, (empty - full).clamp(min=1e-6)
        self.extra = (peak * lambda_k**0.5 * self.span - lambda_k).clamp(min=0)
        self.smoothed: Tensor | None = None
        self.healthy_mask, self.seen_healthy = mask.clone(), torch.zeros_like(full, dtype=torch.bool)

    def lambda_t(self, progress: float, distortion: Tensor) -> Tensor:
        """The weight ``(B,)`` at a `progress` in [0, 1), given the mean distortion ``(B,)`` of the step."""
        self.smoothed = (
            distortion if self.smoothed is None else torch.lerp(distortion, self.smoothed, DISTORTION_MEMORY)
        )
        damage = ((self.smoothed - self.full) / self.span).clamp(min=0)
        self.damage = torch.where(self.is_norm, damage.square(), damage)
        left = max(0.0, 1 - progress / DESCENT_SHARE)
        lambda_t: Tensor = self.lambda_k + self.extra * left**2 * (1 - self.damage / self.tolerance).clamp(0, 1)
        return lambda_t

    def freeze_zeros(self, progress: float, before: Tensor, mask: Tensor) -> None:
        """Late in the run, keep entries at zero that were at zero `before` the step, in place.

        Adam takes steps of full length even for an entry that does not matter and whose gradient is mere noise. At a
        low weight thousands of such entries wander above zero, which costs rate and hides the gradient of those that
        matter. The last part of the run therefore only chooses among the entries that are left.
        """
        if progress >= FREEZE_SHARE:
            mask.masked_fill_(before == 0, 0)

    def drop_losing_masks(self, mask: Tensor, cost: Tensor) -> None:
        """Empty the masks whose distortion and `cost` ``(B,)`` add up to more than that of the empty mask, in place.

        This happens for a class with little probability of its own: noise on few coefficients moves the output as far
        as noise on all of them, which keeps the weight low for good.
        """
        assert self.smoothed is not None
        worse = self.smoothed + cost > self.empty
        mask.masked_fill_(worse[:, None], 0)

    def restore_ruined(self, progress: float, mask: Tensor, moments: list[Tensor]) -> None:
        """Set ruined masks back in place and their optimiser's `moments` to zero; remember healthy masks."""
        if progress >= DESCENT_SHARE or self.smoothed is None:
            return
        is_healthy = self.damage < self.tolerance
        self.seen_healthy |= is_healthy
        ruined = (self.damage > RUINED_DAMAGE) & (self.extra > 0) & self.seen_healthy
        torch.where(is_healthy[:, None], mask, self.healthy_mask, out=self.healthy_mask)
        torch.where(ruined[:, None], self.healthy_mask, mask, out=mask)
        for moment in moments:
            moment.mul_(~ruined[:, None])
        tolerated = torch.where(self.is_norm, self.tolerance**0.5 * self.span, self.tolerance * self.span)
        self.smoothed = torch.where(ruined, self.full + tolerated, self.smoothed)

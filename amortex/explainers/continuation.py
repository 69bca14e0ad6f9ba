"""Continuation in the price of the mask: what makes few steps enough."""

import torch
from torch import Tensor

DURATION = 0.7  # share of the steps over which the price falls to lambda_k
SETTLING = 0.5  # share of the steps from which an entry at zero stays there
SMOOTHING = 0.8  # of the distortion that steers it, per step
RUIN = 0.5  # damage from which a mask is taken back to its last healthy state


class Continuation:
    """The price of the mask, per image and step: from ``peak * sqrt(lambda_k) * span`` down to lambda_k.

    Adam divides by the noise of the distortion's gradient, so at the price lambda_k an irrelevant entry creeps towards
    zero; at a high price it goes at full speed. The price falls quadratically over the first `DURATION` of the steps,
    so that entries can come back while the learning rate is still high (after a linear fall masks end too sparse). It
    is held back in proportion to the image's *damage*, its distortion between that of the full mask (0) and of the
    empty one (1), and is lambda_k from `tolerance` on. Should a mask be ruined all the same while the price is high,
    it is set back to where its damage was last below `tolerance`, if ever: an empty mask has no gradient to come back.

    Arguments:
        lambda_k: the price at the end.
        peak: sets the price at the start, above 0. `span` is the distance between the distortions of the empty and the
            full mask; the root is empirical.
        tolerance: damage, above 0, at which the price is back at lambda_k.
        full, empty: distortions of the full and of the empty mask, ``(B,)``.
        mask: where the optimisation starts, ``(B, k)``.
    """

    def __init__(
        self, lambda_k: float, peak: float, tolerance: float, full: Tensor, empty: Tensor, mask: Tensor
    ) -> None:
        self.lambda_k, self.tolerance = lambda_k, tolerance
        self.empty, self.full, self.span = empty, full, (empty - full).clamp(min=1e-6)
        self.extra = (peak * lambda_k**0.5 * self.span - lambda_k).clamp(min=0)
        self.smoothed: Tensor | None = None
        self.healthy, self.seen_healthy = mask.clone(), torch.zeros_like(full, dtype=torch.bool)

    def lambda_t(self, progress: float, distortion: Tensor) -> Tensor:
        """Price ``(B,)`` at a `progress` in [0, 1), given the step's mean distortion ``(B,)``."""
        self.smoothed = distortion if self.smoothed is None else torch.lerp(distortion, self.smoothed, SMOOTHING)
        self.damage = (self.smoothed - self.full) / self.span
        left = max(0.0, 1 - progress / DURATION)
        lambda_t: Tensor = self.lambda_k + self.extra * left**2 * (1 - self.damage / self.tolerance).clamp(0, 1)
        return lambda_t

    def settle(self, progress: float, before: Tensor, mask: Tensor) -> None:
        """Late in the run, keep in place those entries at zero that were so `before` the step.

        Adam's steps are as long for an entry that does not matter, whose gradient is nothing but noise, as for
        others. At a low price thousands of such entries wander above zero, which costs rate and hides the gradient of
        those that matter. So the last part of the run only chooses among the entries that are left.
        """
        if progress >= SETTLING:
            mask.masked_fill_(before == 0, 0)

    def give_up(self, mask: Tensor) -> None:
        """Empty those masks that cost more than the empty mask: of a class that hardly holds on to its own probability.

        There noise on few coefficients moves the output as far as noise on all, which holds the price back for good.
        """
        assert self.smoothed is not None
        worse = self.smoothed + self.lambda_k * mask.mean(1) > self.empty
        mask.masked_fill_(worse[:, None], 0)

    def rescue(self, progress: float, mask: Tensor, moments: list[Tensor]) -> None:
        """Set ruined masks back in place, their optimiser's `moments` to zero; remember healthy ones."""
        if progress >= DURATION or self.smoothed is None:
            return
        healthy = self.damage < self.tolerance
        self.seen_healthy |= healthy
        ruined = (self.damage > RUIN) & (self.extra > 0) & self.seen_healthy
        torch.where(healthy[:, None], mask, self.healthy, out=self.healthy)
        torch.where(ruined[:, None], self.healthy, mask, out=mask)
        for moment in moments:
            moment.mul_(~ruined[:, None])
        self.smoothed = torch.where(ruined, self.full + self.tolerance * self.span, self.smoothed)

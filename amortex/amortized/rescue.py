"""What is done about inputs that lose their class in the middle of a refinement."""

import torch
from torch import Tensor

from amortex.amortized.config import RescueConfig
from amortex.amortized.refiner import State, aimed_at
from amortex.rate_distortion.encoded_batch import EncodedBatch


class Rescue:
    """Sets the mask of an input that has lost its class back to where it had it, and goes on with more caution.

    Where noise is all that the classifier sees, its gradient vanishes: learned steps then wander for the rest of the
    refinement. It happens at high sparsity weights, and to a class with a probability of nearly 1, whose gradient
    vanishes where it is kept, too. `Continuation` does the same for CartoonX.

    Arguments:
        encoded: the inputs.
        lambda_k: their sparsity weights, ``(B,)``.
        state: where refinement begins.
        steps: of the refinement.
        averaged: its last steps, whose masks are averaged: none of these should be a lost one.
        config: when, and how.
    """

    def __init__(
        self, encoded: EncodedBatch, lambda_k: Tensor, state: State, steps: int, averaged: int, config: RescueConfig
    ) -> None:
        self.lambda_k, self.steps, self.config = lambda_k, steps, config
        self.last = steps - max(config.steps_left, averaged)
        self.wanted, self.healthy = aimed_at(encoded), state.logits
        self.seen_healthy = torch.zeros_like(self.wanted, dtype=torch.bool)
        self.lost_probes, self.caution = torch.zeros_like(self.wanted), torch.ones_like(self.wanted)

    def weight(self, step: int, sparsity_weight: Tensor) -> Tensor:
        """The sparsity weight ``(B,)`` of a step: after a rescue it rises to lambda_k until the end."""
        share = torch.lerp(self.caution, torch.ones_like(self.caution), step / self.steps)
        return torch.where(self.caution < 1, self.lambda_k.minimum(sparsity_weight) * share, sparsity_weight)

    def state(self, step: int, probability: Tensor, before: State, after: State) -> State:
        """The state after a step: `after`, or with the last healthy mask where the class is lost.

        `probability` ``(B,)`` is that of the class in the probe at the masks of `before`.
        """
        config = self.config
        if step > self.last:
            return after
        missing = 1 - probability / self.wanted  # below 0 where the class is more probable than on the input
        healthy = missing < config.healthy
        self.seen_healthy |= healthy
        self.healthy = torch.where(healthy[:, None], before.logits, self.healthy)
        self.lost_probes = torch.where(missing > config.lost, self.lost_probes + 1, 0)
        rescued = (self.lost_probes >= config.lost_probes) & self.seen_healthy
        self.caution = torch.where(rescued, self.caution * config.caution, self.caution)
        self.lost_probes = self.lost_probes.masked_fill(rescued, 0)
        return after._replace(logits=torch.where(rescued[:, None], self.healthy, after.logits))

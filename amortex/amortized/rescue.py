"""What is done about inputs that lose their class in the middle of a refinement."""

import torch
from torch import Tensor

from amortex.amortized.refiner import State, aimed_at
from amortex.rate_distortion.encoded_batch import EncodedBatch

HEALTHY_DAMAGE, LOST_DAMAGE = 0.3, 0.8  # squared errors of the class's probability, over that of a class that is lost
LOST_PROBES = 2  # in a row: one may be an accident of its draw
STEPS_LEFT = 16  # at least: with fewer, the rate that comes back does not fall again
MEMORY = 0.9  # of the running distortion, per step
CAUTION = 0.25  # what is left of the sparsity weight where the class was lost


class Rescue:
    """Sets an input that has lost its class back to where it had it, and goes on from there with more caution.

    Where noise is all that the classifier sees, its gradient vanishes: learned steps then wander for the rest of the
    refinement. It happens at high sparsity weights, and to a class with a probability of nearly 1, whose gradient
    vanishes where it is kept, too. `Continuation` does the same for CartoonX.

    Arguments:
        encoded: the inputs.
        lambda_k: their sparsity weights, ``(B,)``.
        state: where refinement begins.
        steps: of the refinement.
    """

    def __init__(self, encoded: EncodedBatch, lambda_k: Tensor, state: State, steps: int) -> None:
        self.encoded, self.lambda_k, self.steps, self.healthy = encoded, lambda_k, steps, state
        self.lost = aimed_at(encoded).square()
        self.seen_healthy = torch.zeros_like(self.lost, dtype=torch.bool)
        self.lost_probes, self.running = torch.zeros_like(self.lost), torch.zeros_like(self.lost)
        self.caution = torch.ones_like(self.lost)

    def weight(self, step: int, sparsity_weight: Tensor) -> Tensor:
        """The sparsity weight ``(B,)`` of a step: after a rescue it rises to lambda_k until the end."""
        share = torch.lerp(self.caution, torch.ones_like(self.caution), step / self.steps)
        return torch.where(self.caution < 1, self.lambda_k.minimum(sparsity_weight) * share, sparsity_weight)

    def state(self, step: int, distortion: Tensor, before: State, after: State) -> State:
        """The state after a step: `after`, or the last healthy one where the class is lost.

        `distortion` ``(B,)`` is the squared error of the class's probability at the masks of `before`.
        """
        self.running = torch.lerp(distortion, self.running, MEMORY)
        if step + STEPS_LEFT > self.steps:
            return after
        damage = distortion / self.lost
        healthy = damage < HEALTHY_DAMAGE
        self.seen_healthy |= healthy
        self.healthy = chosen(healthy, before, self.healthy)
        self.lost_probes = torch.where(damage > LOST_DAMAGE, self.lost_probes + 1, 0)
        rescued = (self.lost_probes >= LOST_PROBES) & self.seen_healthy
        self.caution = torch.where(rescued, self.caution * CAUTION, self.caution)
        self.lost_probes, self.running = (values.masked_fill(rescued, 0) for values in (self.lost_probes, self.running))
        return chosen(rescued, self.healthy, after)

    def without_losing_masks(self, mask: Tensor) -> Tensor:
        """The final masks ``(B, k)``, without those that were rescued and cost more than the class is worth.

        That happens to predicted classes with little probability of their own. The distortion is taken for label_l2.
        """
        cost = self.running + self.lambda_k * self.encoded.rate(mask)
        losing = (self.caution < 1) & (cost > self.lost) & self.encoded.predicted
        return mask.masked_fill(losing[:, None], 0)


def chosen(condition: Tensor, state: State, other: State) -> State:
    """The tensors of `state` where the `condition` ``(B,)`` holds, and those of the `other`, whose step it is."""
    fields = zip(state[:3], other[:3], strict=True)
    logits, recent, long = (torch.where(condition.reshape(-1, *[1] * (a.dim() - 1)), a, b) for a, b in fields)
    return State(logits, recent, long, other.step, other.steps)

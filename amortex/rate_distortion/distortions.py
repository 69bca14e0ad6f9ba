"""The four distortions: how far the output on an obfuscated image is from the output on the image.

Each maps reference probabilities ``p`` ``(B, M)``, probabilities ``q`` ``(B, L, M)`` under L noise draws, and target
classes ``(B,)`` to distortions ``(B, L)``.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Distortion = Callable[[Tensor, Tensor, Tensor], Tensor]


def of_class(probabilities: Tensor, target: Tensor) -> Tensor:
    """Probability of each image's target class: ``(B, ..., M)`` -> ``(B, ...)``."""
    index = target.reshape(-1, *[1] * (probabilities.ndim - 1)).expand(*probabilities.shape[:-1], 1)
    return probabilities.gather(-1, index).squeeze(-1)


def label_l2(p: Tensor, q: Tensor, target: Tensor) -> Tensor:
    """Squared difference of the target-class probability (CartoonX, section 4.1), in [0, 1]."""
    return (of_class(q, target) - of_class(p, target)[:, None]).square()


def label_max(p: Tensor, q: Tensor, target: Tensor) -> Tensor:
    """Distance of the target-class probability from one (CartoonX, supplement), in [0, 1]."""
    return (of_class(q, target) - 1).abs()


def l2(p: Tensor, q: Tensor, target: Tensor) -> Tensor:
    """Euclidean norm of the difference of the probability vectors, not squared, in [0, sqrt(2)]."""
    distance: Tensor = torch.linalg.vector_norm(q - p[:, None], dim=-1)
    return distance


def kl(p: Tensor, q: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence ``KL(p || q)`` in nats; probabilities below 1e-12 count as 1e-12."""
    p = p[:, None]
    return (p * (p.clamp(min=1e-12).log() - q.clamp(min=1e-12).log())).sum(-1)


DISTORTIONS: dict[str, Distortion] = {f.__name__: f for f in (label_l2, label_max, l2, kl)}
NORMS = {"l2"}  # those that are not smooth at zero


KL_WEIGHT = 0.05  # in `label_l2_slope`


def target_probability(p: Tensor, target: Tensor, predicted: Tensor) -> Tensor:
    """The probability ``(B,)`` that masks should give to the target: its own, or 1 if another class is predicted."""
    return torch.where(predicted, of_class(p, target), 1.0)


def surrogate(p: Tensor, q: Tensor, target: Tensor, predicted: Tensor) -> Tensor:
    """What training minimises in place of the distortion, ``(B, L)``; `predicted` ``(B,)``: whether that is the target.

    It is the Kullback-Leibler divergence between class and not class, whose gradient by the logit is ``q_c - p_c``.
    Unlike that of the squared error, it does not vanish where the class is lost. Unlike ``-log q_c``, it asks for no
    more than the image itself has; asking for more would make distortion rise again with the rate.
    """
    aim = target_probability(p, target, predicted)[:, None]
    expected, actual = (torch.stack([c, 1 - c]).clamp(min=1e-7) for c in (aim, of_class(q, target)))
    return (expected * (expected / actual).log()).sum(0)


def label_l2_slope(log_q: Tensor, p: Tensor) -> Tensor:
    """Derivative by ``log q`` ``(B,)`` of ``(q - p)^2 + KL_WEIGHT * divergence``, for target probabilities p ``(B,)``.

    The divergence is that of `surrogate`: its gradient does not vanish where the class is lost.
    """
    q = log_q.exp()
    return 2 * (q - p) * q - KL_WEIGHT * (p - (1 - p) * q / (1 - q).clamp(min=1e-6))

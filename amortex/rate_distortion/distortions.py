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


def surrogate(p: Tensor, q: Tensor, target: Tensor, predicted: Tensor) -> Tensor:
    """What stands in for the distortion in training, ``(B, L)``; `predicted` ``(B,)``: whether that is the target.

    The Kullback-Leibler divergence between class and not class, whose gradient by the logit is ``q_c - p_c``: other
    than that of squared differences it does not vanish where the class is lost, and other than ``-log q_c`` it does
    not ask for more than the image itself has, which would make distortion rise again with the rate.
    """
    wanted = torch.where(predicted, of_class(p, target), 1.0)[:, None]
    wanted, kept = (torch.stack([c, 1 - c]).clamp(min=1e-7) for c in (wanted, of_class(q, target)))
    return (wanted * (wanted / kept).log()).sum(0)

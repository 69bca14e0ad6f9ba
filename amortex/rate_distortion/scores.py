"""Class scores of images and of masked coefficients, and their gradients by the pixels."""

import torch
from torch import Tensor

from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion


def class_gradient(rd: RateDistortion, image: Tensor, target: Tensor, of_log_probability: bool = False) -> Tensor:
    """Gradient of each image's class score with respect to its values, ``(N, C, *size)``, in chunks.

    The score is the logit, or the log-probability.
    """
    gradients = []
    size = rd.images_at_once
    for pixels, classes in zip(image.split(size), target.split(size), strict=True):
        with torch.enable_grad():
            leaf = pixels.detach().requires_grad_()
            score = rd.classifier(leaf)
            score = rd.classifier.log_probabilities(score) if of_log_probability else score
            gradients.append(torch.autograd.grad(score.gather(1, classes[:, None]).sum(), leaf)[0])
    return torch.cat(gradients)


def reduced_logits(rd: RateDistortion, encoded: EncodedBatch, mask: Tensor) -> Tensor:
    """Logits on ``T^-1(z * m)`` for masks ``(N, k)``; N is the number of images, or anything for a single image."""
    logits: Tensor = rd.classifier(rd.transform.inverse(encoded.coefficients.masked(mask)))
    return logits

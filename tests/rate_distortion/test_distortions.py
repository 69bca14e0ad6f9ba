"""The four distortions against plain numpy, and their ranges."""

import numpy as np
import pytest
import scipy.stats
import torch

from amortex.rate_distortion.distortions import DISTORTIONS, kl, l2, label_l2, label_max, surrogate


@pytest.fixture
def outputs():
    """p (3, 4), q (3, 5, 4), target (3,)."""
    generator = torch.Generator().manual_seed(0)
    p = torch.randn(3, 4, generator=generator, dtype=torch.float64).softmax(-1)
    q = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64).softmax(-1)
    return p, q, torch.tensor([2, 0, 3])


BY_HAND = {
    label_l2: lambda p, q, c: (q[c] - p[c]) ** 2,
    label_max: lambda p, q, c: abs(q[c] - 1),
    l2: lambda p, q, c: np.sqrt(((q - p) ** 2).sum()),
    kl: lambda p, q, c: scipy.stats.entropy(p, q),
}


def test_all_distortions_are_tested():
    assert set(BY_HAND) == set(DISTORTIONS.values())


@pytest.mark.parametrize("distortion", BY_HAND)
def test_value_equals_the_formula(distortion, outputs):
    p, q, target = outputs
    values = distortion(p, q, target)
    assert values.shape == (3, 5)
    for image in range(3):
        for draw in range(5):
            expected = BY_HAND[distortion](p[image].numpy(), q[image, draw].numpy(), int(target[image]))
            assert values[image, draw].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("distortion", [label_l2, l2, kl])
def test_unchanged_output_has_no_distortion(distortion, outputs):
    p, _, target = outputs
    assert distortion(p, p[:, None], target).abs().max() < 1e-15


def test_ranges_are_attained_by_opposite_certain_outputs():
    p, q = torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.0, 1.0]]])
    target = torch.tensor([0])
    assert label_l2(p, q, target).item() == label_max(p, q, target).item() == 1
    assert l2(p, q, target).item() == pytest.approx(2**0.5)
    assert kl(p, q, target).item() == pytest.approx(12 * np.log(10))  # finite, though q is zero where p is not


@pytest.mark.parametrize("distortion", BY_HAND)
def test_gradient_is_exact(distortion, outputs):
    p, q, target = outputs
    assert torch.autograd.gradcheck(lambda changed: distortion(p, changed, target), (q.requires_grad_(),))


@pytest.mark.parametrize("distortion", BY_HAND)
def test_gradient_is_finite_where_nothing_changed_and_where_a_class_is_impossible(distortion):
    p = torch.tensor([[1.0, 0.0]])
    q = p[:, None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(distortion(p, q, torch.tensor([0])).sum(), q)
    assert gradient.isfinite().all()


def test_the_surrogate_is_least_at_the_image_s_own_probability():
    kept = torch.linspace(0.01, 0.99, 197)
    p, target = torch.tensor([[0.3, 0.7]]), torch.tensor([1])
    q = torch.stack([1 - kept, kept], 1)[None]
    values = surrogate(p, q, target, torch.tensor([True]))[0]
    assert kept[values.argmin()].item() == pytest.approx(0.7, abs=0.003)
    assert values.min().item() == pytest.approx(0, abs=1e-4)
    logit = kept.logit().requires_grad_()
    q = torch.stack([-logit, torch.zeros_like(logit)], 1).softmax(1)[None]
    surrogate(p, q, target, torch.tensor([True])).sum().backward()
    torch.testing.assert_close(logit.grad, kept - 0.7)
    q = torch.stack([1 - kept, kept], 1)[None]  # a class that is not predicted is to be kept as likely as can be
    torch.testing.assert_close(surrogate(p, q, target, torch.tensor([False]))[0], -kept.log(), atol=1e-5, rtol=1e-4)

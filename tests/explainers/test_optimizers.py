"""Optimisers with a projection: the same to the last bit as torch's with a clamp and a cosine around them."""

import math

import pytest
import torch

from amortex.explainers.optimizers import ProjectedOptimizer, RelativeAdam, cosine

STEPS = 50


def gradients():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 40, generator=generator) * 10.0 ** -(step % 5) for step in range(STEPS)]


@pytest.mark.parametrize(("method", "arguments"), [
    (torch.optim.Adam, {}), (torch.optim.Adam, {"betas": (0.9, 0.99)}), (torch.optim.NAdam, {}),
])  # fmt: skip
def test_steps_are_those_of_torch_to_the_last_bit(method, arguments):
    mask, expected = torch.ones(3, 40), torch.ones(3, 40)
    optimizer, reference = ProjectedOptimizer(method, mask, 0.02, **arguments), method([expected], lr=0.02, **arguments)
    for step, gradient in enumerate(gradients()):
        optimizer.step(gradient.clone(), cosine(step / STEPS))
        reference.param_groups[0]["lr"] = 0.02 * (1 + math.cos(math.pi * step / STEPS)) / 2
        expected.grad = gradient
        reference.step()
        expected.clamp_(0, 1)
        assert torch.equal(mask, expected)
    assert 0 < (mask < 1).float().mean() < 1  # some entries are at their bound
    state = reference.state[expected]
    assert torch.equal(optimizer.moments[0], state["exp_avg"])
    assert torch.equal(optimizer.moments[1], state["exp_avg_sq"])


def test_a_moment_that_is_reset_in_place_counts():
    mask = torch.full((1, 4), 0.5)
    optimizer = ProjectedOptimizer(torch.optim.Adam, mask, 0.02)
    optimizer.step(torch.ones(1, 4))
    for moment in optimizer.moments:
        moment.zero_()
    before = mask.clone()
    optimizer.step(torch.zeros(1, 4))
    assert torch.equal(mask, before)


def test_relative_steps_are_those_of_adam_with_an_epsilon_of_the_mean_gradient():
    mask = torch.full((3, 40), 0.5, dtype=torch.float64)
    optimizer, lr = RelativeAdam((0.8, 0.9), 0.1, mask), torch.tensor([[0.1], [0.2], [0.3]], dtype=torch.float64)
    first, second = torch.zeros_like(mask), torch.zeros_like(mask)
    for step, gradient in enumerate(gradients(), start=1):
        first, second = 0.8 * first + 0.2 * gradient, 0.9 * second + 0.1 * gradient.double().square()
        unbiased, square = first / (1 - 0.8**step), second / (1 - 0.9**step)
        expected = mask - lr * unbiased / (square.sqrt() + 0.1 * square.mean(1, keepdim=True).sqrt())
        mask = optimizer.step(mask, gradient.double(), lr)
        torch.testing.assert_close(mask, expected)


def test_the_scale_of_a_gradient_does_not_matter_to_relative_steps():
    mask, (gradient, *_) = torch.full((3, 40), 0.5), gradients()
    lr = torch.full((3, 1), 0.1)
    once, scaled = (RelativeAdam((0.8, 0.9), 0.1, mask).step(mask, gradient * c, lr) for c in (1.0, 1e3))
    torch.testing.assert_close(once, scaled)
    assert torch.equal(RelativeAdam((0.8, 0.9), 0.1, mask).step(mask, torch.zeros_like(mask), lr), mask)


def test_a_cosine_falls_from_one_to_zero():
    assert [cosine(progress) for progress in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0], abs=1e-12)

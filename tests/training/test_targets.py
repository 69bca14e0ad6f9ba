"""Classes that are explained in training."""

import pytest
import torch

from amortex.training.targets import drawn_targets


def test_a_share_of_the_inputs_gets_another_probable_class_by_the_root_of_its_probability():
    numbers = list(range(4000))
    row = torch.tensor([0.0, 0.04, 0.6, 0.16, 0.0, 0.01, 0.09, 0.0])  # the sixth class in this order has no chance
    targets = drawn_targets(row.expand(len(numbers), -1), 0.3, numbers, seed=1)
    counts = torch.bincount(targets, minlength=len(row)).double() / len(numbers)
    assert counts[2].item() == pytest.approx(0.7, abs=0.03)
    roots = torch.tensor([0, 0.2, 0, 0.4, 0, 0.1, 0.3, 0], dtype=torch.float64)
    expected = 0.3 * roots / roots.sum()
    expected[2] = counts[2]
    torch.testing.assert_close(counts, expected, rtol=0, atol=0.02)


def test_targets_belong_to_samples_not_to_batches():
    outputs = torch.rand(6, 9, generator=torch.Generator().manual_seed(0))
    together = drawn_targets(outputs, 0.5, list(range(6)), seed=3)
    alone = torch.cat([drawn_targets(outputs[n : n + 1], 0.5, [n], seed=3) for n in range(6)])
    assert torch.equal(together, alone)
    assert torch.equal(drawn_targets(outputs, 0.0, list(range(6)), seed=3), outputs.argmax(1))


def test_of_two_classes_the_other_one_is_drawn():
    outputs = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    assert drawn_targets(outputs, 1.0, [0, 1], seed=0).tolist() == [1, 0]

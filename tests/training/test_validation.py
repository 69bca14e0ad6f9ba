"""Validation: what is measured, and its mean over images and devices."""

import pytest
import torch

from amortex.training.config import RefinementConfig
from amortex.training.refinement import log_uniform
from amortex.training.validation import mean_over_devices
from helpers.problems import training_module


class OneDevice:
    """A strategy of a trainer with one device."""

    root_device = torch.device("cpu")

    @staticmethod
    def reduce(values: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "sum"
        return values


NAMES = ["val/objective", "b"]
BATCHES = [
    {"b": torch.ones(2), "val/objective": torch.tensor([1.0, torch.nan])},
    {"b": torch.zeros(1), "val/objective": torch.tensor([4.0])},
]


def test_means_leave_out_what_is_not_finite_and_tell_how_many_images_they_are_of():
    means = mean_over_devices(NAMES, BATCHES, OneDevice)
    assert means["val/objective"].item() == 2.5
    assert means["b"].item() == pytest.approx(2 / 3)
    assert means["val/image_count"].item() == 2


def test_a_device_whose_images_are_all_left_out_adds_nothing():
    class OtherDevice(OneDevice):
        @staticmethod
        def reduce(values: torch.Tensor, reduce_op: str) -> torch.Tensor:
            return values + torch.tensor([[6.0, 1.0], [3.0, 3.0]])  # sums and counts of another device

    means = mean_over_devices(NAMES, [], OtherDevice)
    assert (means["val/objective"].item(), means["val/image_count"].item()) == (2, 3)


@pytest.mark.parametrize("steps", [0, 2])
def test_objectives_are_those_of_predicted_or_refined_masks(steps):
    module = training_module(refinement=RefinementConfig(steps=steps))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    prediction = module.predict_masks(images)
    measured = module.validation(prediction)
    assert all(values.shape == (2,) for values in measured.values())
    assert list(measured) == module.validation.names
    for value in module.lambda_k:
        expected = measured[f"val/distortion_{value:g}"] + value * measured[f"val/rate_{value:g}"]
        torch.testing.assert_close(measured[f"val/objective_{value:g}"], expected)
        assert (f"val/refined_{value:g}" in measured) == (steps > 0)
    name = "refined" if steps else "objective"
    mean = torch.stack([measured[f"val/{name}_{value:g}"] for value in module.lambda_k]).mean(0)
    torch.testing.assert_close(measured["val/objective"], mean)


def test_log_uniform_draws_stay_in_their_interval():
    draws = log_uniform(torch.tensor([0.0, 0.5, 1.0]), 0.5, 8.0)
    torch.testing.assert_close(draws, torch.tensor([0.5, 2.0, 8.0]))

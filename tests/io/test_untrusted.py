"""Settings and weights of untrusted checkpoints."""

import pytest
import torch

from amortex.core.errors import InputError
from amortex.io.untrusted import refuse_objects, refuse_tensors

FILE = "last.ckpt"


@pytest.mark.parametrize("size", [224, [3, 224, 224], (1, 160_000), [1, 64, 64, 64]])
def test_inputs_of_any_number_of_axes_are_accepted_while_they_fit_memory(size):
    refuse_objects({"problem": {"input_size": size}}, FILE)


@pytest.mark.parametrize("size", [10**6, [3, 10**5, 10**5], [1, 10**9], [3, -(10**9), 5], [1, float("nan")]])
def test_inputs_that_do_not_fit_memory_are_refused(size):
    with pytest.raises(InputError, match="input_size beyond measure"):
        refuse_objects({"problem": {"input_size": size}}, FILE)


def test_what_is_no_table_of_plain_values_is_refused():
    refuse_objects({"seed": 2**63, "mean": [0.5, None], "name": "text", "on": True}, FILE)
    for settings, message in (
        ([1], "its settings are no table"),
        ({3: 1}, "name is no text"),
        ({"a": {"class_path": "x"}}, "names a class"),
        ({"a": torch.zeros(1)}, "no plain value"),
    ):
        with pytest.raises(InputError, match=message):
            refuse_objects(settings, FILE)


def test_weights_are_finite_and_in_the_file():
    refuse_tensors({"a": torch.ones(3), "b": torch.arange(3)}, FILE)
    for weight in (torch.tensor([1.0, torch.nan]), torch.ones(1, device="meta"), "text", torch.ones(1).expand(10**9)):
        with pytest.raises(InputError, match="no finite numbers"):
            refuse_tensors({"a": weight}, FILE)

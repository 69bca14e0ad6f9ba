"""Logits are found in whatever networks return, or the line says what there is instead."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch

from amortex.classifiers.outputs import ambiguous, logits_of
from amortex.core.errors import InputError

Named = namedtuple("Named", "hidden logits")  # torchvision's own come with the logits first
LOGITS = torch.arange(10.0).view(2, 5)
HIDDEN = torch.zeros(2, 7)


@dataclass
class Outputs:
    """As transformers returns it."""

    loss: None
    logits: torch.Tensor
    hidden: torch.Tensor


@pytest.mark.parametrize(
    "outputs",
    [
        LOGITS,
        (LOGITS,),
        [LOGITS, HIDDEN],
        (None, LOGITS),
        {"loss": None, "hidden": HIDDEN, "logits": LOGITS},
        OrderedDict(scores=LOGITS),
        Named(HIDDEN, LOGITS),
        Outputs(None, LOGITS, HIDDEN),
        LOGITS[:, :, None, None],
        LOGITS[:, None],
        (LOGITS[:, :, None, None], HIDDEN),
    ],
    ids=["tensor", "alone", "first", "none", "dict", "only", "named", "dataclass", "map", "axis", "first map"],
)
def test_logits_are_found(outputs):
    assert torch.equal(logits_of(outputs, 2), LOGITS)


def test_squeezed_axes_come_back():
    assert torch.equal(logits_of(LOGITS[0], 1), LOGITS[:1])  # (M,), for one input
    assert torch.equal(logits_of(LOGITS[:, 1], 2), LOGITS[:, 1:2])  # (B,), of a single logit
    assert torch.equal(logits_of(LOGITS[0, 1], 1), LOGITS[:1, 1:2])  # one logit for one input
    assert logits_of(torch.zeros(1, 1, 1), 1).shape == (1, 1)


@pytest.mark.parametrize(
    ("outputs", "count", "why"),
    [
        (torch.zeros(2, 5, 4, 4), 2, r"returns \(2, 5, 4, 4\) for 2 inputs, not logits"),
        (torch.zeros(1, 5, 4), 1, r"\(1, 5, 4\) for 1 input, not"),
        (torch.zeros(5), 2, r"returns \(5,\) for 2 inputs"),
        (torch.zeros(5, 1), 1, r"returns \(5, 1\)"),
        (torch.zeros(1, 2), 2, r"returns \(1, 2\)"),
        ({"out": torch.zeros(2, 5, 4, 4)}, 2, r"\(2, 5, 4, 4\) as out"),
        ([torch.zeros(2, 8, 4, 4), torch.zeros(2, 16, 2, 2)], 2, r"\(2, 8, 4, 4\) as output 0"),
        ({"digit": LOGITS, "colour": HIDDEN}, 2, "returns digit, colour, none called logits"),
        ({"boxes": []}, 2, "returns dict without logits"),
        (None, 2, "returns NoneType without logits"),
        (LOGITS.argmax(1, keepdim=True), 2, "returns int64 numbers"),
        (LOGITS.to(torch.complex64), 2, "returns complex64 numbers"),
    ],
)
def test_what_is_no_logits_is_named(outputs, count, why):
    with pytest.raises(InputError, match=why):
        logits_of(outputs, count)


def test_a_choice_among_unnamed_tensors_is_told():
    assert "the first is taken" in ambiguous((LOGITS, HIDDEN))
    assert "(2, 5), (2, 7)" in ambiguous([LOGITS, None, HIDDEN])
    for outputs in (LOGITS, (LOGITS,), (LOGITS, None), Named(HIDDEN, LOGITS), {"logits": LOGITS, "hidden": HIDDEN}):
        assert ambiguous(outputs) == ""

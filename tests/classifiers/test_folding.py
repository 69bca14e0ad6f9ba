"""Folded networks are the same functions; where they would not be, nothing is folded."""

import copy

import pytest
import timm
import torch
from torch import nn

from amortex.classifiers.folding import CONVOLUTIONS, NORMALISATIONS, fold_batch_norms


class Twice(nn.Module):
    """Calls its convolution with and without the normalisation behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.norm(self.convolution(x)) + self.convolution(x)).mean((2, 3))


class Shared(Twice):
    """Uses the convolution's output before the normalisation, too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.convolution(x)
        return (self.norm(y) + y).mean((2, 3))


class Transposed(nn.Module):
    """A normalisation behind a transposed convolution, whose weights have their channels the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.ConvTranspose2d(3, 3, 3), nn.BatchNorm2d(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x).mean((2, 3))


class Looks(Twice):
    """Reads a property of its normalisation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.convolution(x)).mean((2, 3)) * self.norm.eps


def settled(model: nn.Module) -> nn.Module:
    """In evaluation mode, with statistics and affine maps that are not trivial."""
    generator = torch.Generator().manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, NORMALISATIONS):
            norm.running_mean.normal_(generator=generator).mul_(0.1)
            norm.running_var.uniform_(0.5, 2, generator=generator)
            if norm.affine:
                nn.init.uniform_(norm.weight, 0.8, 1.2, generator=generator)
                nn.init.normal_(norm.bias, 0, 0.1, generator=generator)
    return model.eval().requires_grad_(False)


def pictures(size: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "mobilenetv3_small_100", "densenet121"])
def test_outputs_and_gradients_are_the_same(name):
    torch.manual_seed(0)
    model = settled(timm.create_model(name, num_classes=10)).double()
    state = copy.deepcopy(model.state_dict())
    folded = fold_batch_norms(model, pictures().double())
    norms = [sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) for net in (model, folded)]
    assert norms[1] < 0.6 * norms[0]
    results = []
    for net in (model, folded):
        leaf = (1 - pictures()).double().requires_grad_()
        out = net(leaf)
        results.append((out, *torch.autograd.grad(out[:, 3].sum(), leaf)))
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-8 * float(expected.abs().max()))
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())  # the original stays


@pytest.mark.parametrize(
    "model", [Twice(), Shared(), Looks(), Transposed(), nn.Sequential(nn.Flatten(), nn.Linear(12, 3))]
)
def test_what_would_change_is_left_alone(model):
    model = settled(model)
    assert fold_batch_norms(model, pictures(2)) is model


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("convolution", "norm"), zip(CONVOLUTIONS, NORMALISATIONS, strict=True))
def test_normalisations_of_one_to_three_axes_are_folded(convolution, norm, bias):
    torch.manual_seed(0)
    layers = nn.Sequential(convolution(2, 4, 3, bias=bias), norm(4), nn.Tanh(), convolution(4, 3, 2), norm(3))
    model = settled(layers).double()
    x = torch.rand(2, 2, *[7] * (CONVOLUTIONS.index(convolution) + 1), dtype=torch.float64)
    folded = fold_batch_norms(model, x)
    assert not any(isinstance(module, norm) for module in folded.modules())
    torch.testing.assert_close(folded(x), model(x), rtol=1e-6, atol=1e-9)

"""Networks that cannot be explained, or not by every method: one line says why."""

import copy

import pytest
import timm
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from amortex.classifiers.data_config import data_config_of
from amortex.classifiers.fingerprint import digest
from amortex.core.errors import InputError
from helpers.library import load
from helpers.networks import TinyNet


def quantised() -> nn.Module:
    """Its linear layer claims to pass a gradient on, and passes none."""
    return torch.ao.quantization.quantize_dynamic(TinyNet(), {nn.Linear}, dtype=torch.qint8)


class Frozen(TinyNet):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class Decided(TinyNet):
    def forward(self, x):
        return nn.functional.one_hot(super().forward(x).argmax(1), self.num_classes).float()


class Checkpointed(TinyNet):
    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=True)


class ChangesItsInput(TinyNet):
    def forward(self, x):
        return super().forward(x.mul_(2))


class OneAtATime(TinyNet):
    def forward(self, x):
        return super().forward(x).view(1, self.num_classes)


class Stateful(TinyNet):
    """Its state holds more than tensors."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version

    def get_extra_state(self):
        return {"version": self.version}

    def set_extra_state(self, state):
        self.version = state["version"]


@pytest.mark.filterwarnings("ignore")  # torch calls quantisation by this name deprecated
@pytest.mark.parametrize(
    ("network", "why"),
    [(quantised, "frozen or quantised"), (Frozen, "no_grad"), (Decided, "no_grad"), (Checkpointed, "use_reentrant")],
)
def test_networks_without_gradients_are_explained_by_methods_that_need_none(network, why, images):
    network = network()
    for method in ("cartoonx", "wam", "saliency"):
        with pytest.raises(InputError, match=rf"passes no gradients \(.*{why}.*: give another form of it, or choose"):
            load(method, classifier=network).explain(images)
    assert load("random_pixels", classifier=network).explain(images).certificate(2).distortion.isfinite().all()


def test_networks_that_change_their_input_in_place_are_explained(images):
    network, twice = ChangesItsInput(), TinyNet()
    twice.load_state_dict(network.state_dict())
    twice.features[0].weight.data *= 2
    expected = load("saliency", classifier=twice).explain(images)
    torch.testing.assert_close(load("saliency", classifier=network).explain(images).relevance, expected.relevance)


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (OneAtATime, "takes a single input at a time"),
        (lambda: timm.create_model("test_efficientnet", num_classes=0), r"has no head \(its num_classes is 0\)"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), "^1 of .* has no weights before its first input"),
        (lambda: TinyNet().to("meta"), r"^features.0 of .* has no weights \(they are on the meta device\)"),
    ],
)
def test_networks_that_are_not_complete_are_refused(network, why):
    with pytest.raises(InputError, match=why):
        load(classifier=network())


def test_states_that_are_no_tensors_tell_networks_apart():
    torch.manual_seed(0)
    first = Stateful(1)
    same, other = copy.deepcopy(first), copy.deepcopy(first)
    other.version = 2
    assert digest(first) == digest(same) != digest(other)
    quantised_state = {digest(torch.ao.quantization.quantize_dynamic(net, {nn.Linear})) for net in (first, TinyNet())}
    assert len(quantised_state) == 2


def test_a_normalisation_that_is_guessed_is_told(caplog):
    config = data_config_of(TinyNet(), "TinyNet", None, {"input_size": 32})
    assert config["mean"] == (0.485, 0.456, 0.406)
    (record,) = caplog.records
    assert "TinyNet does not say how its input is normalised: by ImageNet's mean and std;" in record.message
    caplog.clear()
    data_config_of(TinyNet(), "TinyNet", None, {"input_size": 32, "mean": (0.5,), "std": (0.5,)})
    data_config_of(timm.create_model("test_efficientnet"), "TinyNet", None, {})
    assert not caplog.records


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.LSTM(96, 6, num_layers=2, dropout=0.9, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.layers(x.transpose(1, 2).flatten(2))[0][:, -1])


def test_recurrent_layers_can_be_differentiated_by_cudnn_and_compute_the_same(images):
    network = Recurrent()
    classifier = load("saliency", classifier=network).classifier
    classifier.train()
    layers = classifier.model.layers
    assert layers.training  # cuDNN refuses a backward pass otherwise
    assert not classifier.model.training
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), network.eval()(classifier.normalise(images)))
    assert not network.layers.training
    assert network.layers.dropout == 0.9


class Silent(TinyNet):
    """Fails without a word."""

    def forward(self, x):
        raise RuntimeError


class SilentInBatches(TinyNet):
    def forward(self, x):
        if len(x) > 1:
            raise RuntimeError
        return super().forward(x)


@pytest.mark.parametrize(("network", "why"), [(Silent, "cannot classify"), (SilentInBatches, "a single input")])
def test_errors_without_a_text_are_told_by_their_type(network, why):
    with pytest.raises(InputError, match=rf"{why}.*RuntimeError"):
        load(classifier=network())

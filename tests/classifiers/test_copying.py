"""Modules as people have them: compiled, scripted, wrapped, with what cannot be copied; theirs stay as they are."""

import threading

import pytest
import torch
from torch import nn
from torch.export import Dim, export

import amortex
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from amortex.metrics.randomisation import cascading_randomisation
from helpers.networks import TinyNet

SIZE = {"input_size": 32, "mean": [0.5], "std": [0.5]}


def batch() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def tiny() -> TinyNet:
    torch.manual_seed(0)
    return TinyNet().eval()


def inside_compiled(network: TinyNet) -> nn.Module:
    network.features = torch.compile(network.features)
    return network


def storing_activations(network: TinyNet) -> nn.Module:
    network.features[0].register_forward_hook(lambda module, inputs, output: setattr(module, "stored", [output]))
    network(batch())
    return network


def with_old_weight_norm(network: TinyNet) -> nn.Module:
    nn.utils.weight_norm(network.head)
    network(batch())
    return network


def exported(network: TinyNet) -> nn.Module:
    return export(network, (batch(),), dynamic_shapes=({0: Dim("batch", min=1)},)).module()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "form",
    [
        torch.compile,
        inside_compiled,
        nn.DataParallel,
        lambda network: torch.compile(nn.DataParallel(network)),
        storing_activations,
        with_old_weight_norm,
        torch.jit.script,
        lambda network: torch.jit.trace(network, batch()),
        exported,
    ],
)
def test_all_forms_of_a_network_are_explained_alike(form, caplog):
    results = [
        amortex.load_explainer(method="cartoonx", classifier=network, levels=2, steps=5, device="cpu", **SIZE)
        .explain(batch())
        .mask
        for network in (tiny(), form(tiny()))
    ]
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-5)
    assert not [record for record in caplog.records if record.name.startswith("amortex")]


def test_compiled_networks_have_the_name_and_weights_of_their_original():
    compiled = torch.compile(tiny())
    classifier = load_classifier(compiled, **SIZE)
    assert type(classifier.model) is TinyNet
    assert classifier.name == "helpers.networks.TinyNet"
    plain = load_classifier(tiny(), **SIZE).fingerprint()
    assert classifier.fingerprint() == plain
    assert load_classifier(inside_compiled(tiny()), **SIZE).fingerprint() == plain


def test_what_cannot_be_copied_is_shared_and_named(caplog):
    network = tiny()
    network.features.lock, network.stored = threading.Lock(), torch.zeros(3)
    classifier = load_classifier(network, **SIZE)
    assert classifier.model.features.lock is network.features.lock
    assert classifier.model.stored is not network.stored
    assert classifier.model.head.weight is not network.head.weight
    assert caplog.messages == [
        "helpers.networks.TinyNet: its copy shares features.lock with it, which cannot be copied"
    ]
    torch.testing.assert_close(classifier(batch()), network(2 * batch() - 1))


def test_a_part_of_the_network_that_cannot_be_copied_is_named():
    class Uncopied(nn.Linear):
        def __deepcopy__(self, memo):
            raise TypeError("handles are no copies")

    network = tiny()
    network.head = Uncopied(16, 5)
    with pytest.raises(InputError, match=r"TinyNet cannot be copied \(handles are no copies\)") as caught:
        load_classifier(network, **SIZE)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_explainers_of_such_networks_can_be_copied_after_they_have_run():
    loaded = amortex.load_explainer(
        method="saliency", classifier=storing_activations(tiny()), levels=2, device="cpu", **SIZE
    )
    loaded.explain(batch())
    shuffled = next(cascading_randomisation(loaded.explainer))
    weights = [explainer.rate_distortion.classifier.model.head.weight for explainer in (loaded.explainer, shuffled)]
    assert not torch.equal(*weights)


def test_networks_without_gradients_are_told_apart_by_method():
    class Detached(TinyNet):
        def forward(self, x):
            return super().forward(x).detach()

    options = {"classifier": Detached(), "levels": 2, "device": "cpu", **SIZE}
    with pytest.raises(InputError, match=r"passes no gradients .* lime"):
        amortex.load_explainer(method="saliency", **options).explain(batch())
    assert amortex.load_explainer(method="lime", **options).explain(batch()).mask.shape[0] == 2

"""What the outputs of a network are taken for, and how that reaches measurements, files and trained explainers."""

import json

import pytest
import torch
from torch import nn

import amortex
from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.released import CONFIG
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import smooth_net
from helpers.networks import TinyNet
from helpers.releases import write_release

SIZE = {"input_size": 32, "mean": [0.5], "std": [0.5]}


class Ending(nn.Module):
    """A network with a function behind it."""

    def __init__(self, network: nn.Module, function) -> None:
        super().__init__()
        self.network, self.function = network, function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.network(x))


def small_logits(classes: int) -> nn.Module:
    """Logits in [0, 1], as those of an untrained network can be."""
    network = nn.Sequential(nn.Flatten(), nn.LayerNorm(3072), nn.Linear(3072, classes))
    nn.init.normal_(network[-1].weight, std=1e-4)
    nn.init.constant_(network[-1].bias, 0.4)
    return network


def linear(std: float, bias: list[float]) -> nn.Module:
    """Linear logits, of which noise adds about 32 times `std` to the bias."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3072, len(bias)))
    with torch.no_grad():
        network[1].weight.copy_(std * torch.randn(len(bias), 3072, generator=torch.Generator().manual_seed(1)))
        network[1].bias.copy_(torch.tensor(bias))
    return network


def sums_to_one(slope: float = 0.0) -> nn.Module:
    """A linear probability model."""
    network = nn.Sequential(nn.Flatten(), nn.LayerNorm(3072), nn.Linear(3072, 4))
    with torch.no_grad():
        weight = torch.randn(4, 3072, generator=torch.Generator().manual_seed(1))
        network[-1].weight.copy_(slope * (weight - weight.mean(0)))
        network[-1].bias.fill_(0.25)
    return network


@pytest.mark.parametrize(
    ("network", "activation", "said", "several"),
    [
        (smooth_net(5, 0), "softmax", None, False),
        (smooth_net(1, 0), "softmax", "logit of the second of two classes", False),
        (Ending(smooth_net(5, 0), lambda y: y.softmax(1)), "none", "sum to one", False),
        (Ending(smooth_net(5, 0).half(), lambda y: y.softmax(1)), "none", "sum to one", False),
        (Ending(smooth_net(5, 0), lambda y: y.log_softmax(1)), "softmax", None, False),
        (Ending(smooth_net(5, 0).bfloat16(), lambda y: y.softmax(1)), "none", "sum to one", False),
        (Ending(smooth_net(5, 0), torch.sigmoid), "none", "several labels", True),
        (Ending(linear(0.05, [15.0, -15, -15, -15, -15]), torch.sigmoid), "none", "several labels", True),
        (Ending(linear(2e-4, [0.0, 0.0]).bfloat16(), torch.sigmoid), "none", "several labels", True),
        (sums_to_one(), "softmax", None, False),
        (sums_to_one(slope=5e-4), "softmax", None, False),
        (Ending(smooth_net(1, 0), torch.sigmoid), "none", "second of two classes", False),
        (Ending(nn.Sequential(nn.Flatten(), nn.Linear(3072, 5)), torch.relu), "softmax", None, False),
        (small_logits(1), "softmax", "logit of the second of two classes", False),
        (small_logits(5), "softmax", None, False),
        (Ending(smooth_net(5, 0), torch.zeros_like), "softmax", None, False),
        (Ending(smooth_net(5, 0), lambda y: y * torch.nan), "softmax", None, False),
    ],
)
def test_outputs_in_the_unit_interval_are_probabilities_and_that_is_said(network, activation, said, several, caplog):
    classifier = load_classifier(network, **SIZE)
    assert (classifier.activation, classifier.multi_label) == (activation, several)
    assert classifier.caveats == ()
    (*lines,) = caplog.messages
    assert len(lines) == (said is not None)
    if said:
        assert said in lines[0]
        assert "wrap the network in a module that returns logits" in lines[0] or "give the activation" in lines[0]


def test_what_is_asked_for_is_used_and_what_speaks_against_it_is_a_caveat(caplog):
    softmax = Ending(smooth_net(5, 0), lambda y: y.softmax(1))
    asked = load_classifier(softmax, activation="softmax", **SIZE)
    assert asked.activation == "softmax"
    assert asked.caveats == ("its outputs seem to be probabilities already, and softmax is applied to them",)
    single = load_classifier(Ending(smooth_net(1, 0), torch.sigmoid), activation="sigmoid", **SIZE)
    assert single.caveats == ("its outputs seem to be probabilities already, and sigmoid is applied to them",)
    raw = load_classifier(smooth_net(5, 0), activation="none", **SIZE)
    assert raw.caveats == ("its outputs are taken for probabilities as they are, and seem to be logits",)
    assert load_classifier(softmax, activation="none", **SIZE).caveats == ()
    assert not caplog.messages


def test_a_network_that_ends_in_softmax_is_explained_like_its_logits(images):
    results = [
        amortex.load_explainer(method="cartoonx", classifier=network, levels=2, steps=20, device="cpu", **SIZE).explain(
            images
        )
        for network in (smooth_net(5, 0), Ending(smooth_net(5, 0), lambda y: y.softmax(1)))
    ]
    torch.testing.assert_close(results[1].mask, results[0].mask, rtol=0, atol=1e-4)
    distortions = [result.certificate().distortion for result in results]
    torch.testing.assert_close(distortions[1], distortions[0], rtol=1e-3, atol=1e-6)


def test_several_labels_are_measured_at_the_most_probable_one_and_have_no_kl(images):
    classifier = load_classifier(Ending(smooth_net(5, 0), torch.sigmoid), **SIZE)
    rd = RateDistortion(classifier, Wavelet("haar", 2))
    encoded = rd.encode(images)
    expected = smooth_net(5, 0)((images - 0.5) / 0.5).sigmoid()
    torch.testing.assert_close(encoded.probabilities, expected)
    assert torch.equal(encoded.target, expected.argmax(1))
    assert rd.identity()["activation"] == "none"
    with pytest.raises(InputError, match="several labels have none"):
        RateDistortion(classifier, Wavelet("haar", 2), distortion="kl")


def test_a_trained_explainer_belongs_to_the_activation_it_was_trained_with(tmp_path):
    folder = write_release(tmp_path / "release")
    content = json.loads((folder / CONFIG).read_text())
    assert content["identity"]["activation"] == "softmax"
    load = {"classifier": "helpers.networks.TinyNet"}
    assert load_predictor(folder, **load).rate_distortion.classifier.activation == "softmax"
    with pytest.raises(InputError, match=r"another activation \(softmax, here sigmoid\)"):
        load_predictor(folder, **load, activation="sigmoid")
    content["settings"]["problem"]["activation"] = "auto"
    content["identity"]["activation"] = "sigmoid"
    (folder / CONFIG).write_text(json.dumps(content))
    assert load_predictor(folder, **load).rate_distortion.classifier.activation == "sigmoid"
    with pytest.raises(InputError, match=r"another activation \(sigmoid, here softmax\)"):
        load_predictor(folder, load_classifier(load["classifier"], **SIZE))


def test_the_example_leaves_random_generators_alone():
    class Draws(TinyNet):
        def forward(self, x):
            return super().forward(x) + torch.rand(())

    network, before = Draws(), torch.get_rng_state()
    load_classifier(network, **SIZE)
    assert torch.equal(torch.get_rng_state(), before)

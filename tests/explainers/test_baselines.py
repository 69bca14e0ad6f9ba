"""Each baseline is what its name says: against Captum, closed forms and definitions, and never another in disguise."""

import pytest
import torch
from captum.attr import GuidedBackprop, LayerGradCam
from torch import nn
from torch.nn import functional as F

from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from amortex.explainers.base import Explanation
from amortex.explainers.baselines import ATTRIBUTIONS, Baseline
from amortex.explainers.mapped import in_coefficients
from amortex.explainers.modified_backprop import relevance_propagation
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.pixel import Pixel
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier


def attribution(name, classifier, images):
    return Baseline(RateDistortion(classifier, Pixel()), name).explain(images)


@pytest.fixture
def relu6_classifier():
    """All activations ReLU6, of which Captum's guided backpropagation knows nothing."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU6(),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))  # fmt: skip
    return build_classifier(net, (3, 32, 32), "relu6")


@pytest.mark.parametrize("name", [name for name in ATTRIBUTIONS if name != "saliency"])
def test_no_baseline_is_saliency(name, relu6_classifier, images):
    plain, other = (attribution(n, relu6_classifier, images).relevance for n in ("saliency", name))
    for a, b in zip(plain, other, strict=True):
        assert not torch.corrcoef(torch.stack([a, b]))[0, 1] > 0.99  # an empty map has no correlation


def test_guided_backprop_on_relu_is_captums_and_on_relu6_its_definition(images):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))  # fmt: skip
    classifier = build_classifier(net, (3, 32, 32), "relu")
    found = attribution("guided_backprop", classifier, images)
    expected = GuidedBackprop(classifier).attribute(images, found.encoded.target)
    torch.testing.assert_close(found.relevance, expected.abs().sum(1).flatten(1), rtol=1e-4, atol=1e-7)


def test_guided_backprop_of_relu6_by_hand():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU6(), nn.Linear(6, 3))
    classifier = build_classifier(net, (3, 2, 2), "hand")
    x = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    first, last = net[1], net[3]
    inner = first(classifier.normalise(x).flatten(1))
    target = classifier(x).argmax(1)
    gradient = last.weight[target].clamp(min=0) * ((inner > 0) & (inner < 6))
    expected = (gradient @ first.weight / 0.5).view(1, 3, 2, 2)
    found = attribution("guided_backprop", classifier, x)
    torch.testing.assert_close(found.relevance, expected.abs().sum(1).flatten(1))


class Functional(nn.Module):
    """A ReLU that no hook reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.act(self.conv(x)) - 0.1).mean((2, 3)))


def test_methods_refuse_classifiers_that_they_are_not_defined_for(tiny_classifier, images):
    hidden = build_classifier(Functional(), (3, 32, 32), "functional")
    with pytest.raises(InputError, match="reaches 1 ReLU modules of functional, but it has 2"):
        attribution("guided_backprop", hidden, images)
    silu = build_classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(3600, 3)),
                            (3, 32, 32), "silu")  # fmt: skip
    with pytest.raises(InputError, match="silu has SiLU"):
        attribution("guided_backprop", silu, images)
    normed = build_classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(3600, 3)),
                              (3, 32, 32), "normed")  # fmt: skip
    with pytest.raises(InputError, match="no rule for these layers of normed: GroupNorm"):
        attribution("lrp", normed, images)
    tokens = build_classifier(Tokens(), (3, 32, 32), "tokens")
    with pytest.raises(InputError, match="needs feature maps"):
        attribution("gradcam", tokens, images)


def test_gates_and_channels_last_networks_are_refused():
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    gated = load_classifier("mobilenetv3_small_050", "random", num_classes=5, input_size=64)
    with pytest.raises(InputError, match=r"no rule for these .* of mobilenetv3_small_050: .*"):
        attribution("lrp", gated, image)
    class_gate = build_classifier(Gate(), (3, 32, 32), "gate")
    with pytest.raises(InputError, match="no rule for these operations of gate: Mul, Sigmoid"):
        attribution("lrp", class_gate, image[:, :, :32, :32])
    attribution("lrp", load_classifier("resnet10t", "random", num_classes=5, input_size=64), image)
    swin = load_classifier("swin_tiny_patch4_window7_224", "random", num_classes=5)
    with pytest.raises(InputError, match="needs feature maps"):
        attribution("gradcam", swin, torch.rand(1, 3, 224, 224))


class Gate(nn.Module):
    """Multiplies feature maps by a function of them: no module does, and LRP would take the plain gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.conv(x))
        return self.head((x * x.mean((2, 3), keepdim=True).sigmoid()).mean((2, 3)))


class Tokens(nn.Module):
    """Patches and a linear layer on each, as in a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Conv2d(3, 4, 8, 8), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(self.embed(x).flatten(2).mT).mean(1))


class Residual(nn.Module):
    """Without biases: relevance is conserved, through a sum and a pool as well."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.ReLU()
        self.inner, self.act2 = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.ReLU()
        self.pool, self.flat, self.head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.stem(x))
        return self.head(self.flat(self.pool(x + self.act2(self.inner(x)))))


def test_lrp_conserves_relevance_through_residuals(images):
    torch.manual_seed(1)
    classifier = build_classifier(Residual(), (3, 32, 32), "residual")
    logits = classifier(images)
    target = logits.argmax(1)
    relevance = relevance_propagation(classifier, images, target)
    torch.testing.assert_close(
        relevance.flatten(1).sum(1), logits.gather(1, target[:, None])[:, 0], rtol=0.02, atol=1e-3
    )


def test_gradcam_is_captums(relu_classifier, images):
    found = attribution("gradcam", relu_classifier, images)
    layer = next(m for m in relu_classifier.model.modules() if isinstance(m, nn.ReLU6))
    maps = LayerGradCam(relu_classifier, layer).attribute(images, found.encoded.target, relu_attributions=True)
    expected = F.interpolate(maps, (32, 32), mode="bilinear").flatten(1)
    torch.testing.assert_close(found.relevance, expected.detach(), rtol=1e-4, atol=1e-6)


def test_guided_gradcam_is_the_product(relu_classifier, images):
    guided, cam, both = (
        attribution(n, relu_classifier, images) for n in ("guided_backprop", "gradcam", "guided_gradcam")
    )
    torch.testing.assert_close(both.relevance, guided.relevance * cam.relevance, rtol=1e-4, atol=1e-7)


def test_integrated_gradients_are_complete(relu_classifier, images):
    found = attribution("integrated_gradients", relu_classifier, images)
    change = relu_classifier(images) - relu_classifier(torch.zeros_like(images))
    expected = change.gather(1, found.encoded.target[:, None])[:, 0]
    torch.testing.assert_close(found.signed.sum(1), expected, rtol=0.02, atol=1e-3)


def test_pixel_relevance_in_coefficients_is_where_the_pixels_are(tiny_classifier, images):
    encoded = RateDistortion(tiny_classifier, Pixel()).encode(images)
    corner = torch.zeros(3, 32, 32)
    corner[:, :4, :4] = 1.0
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    mapped = in_coefficients(Explanation(encoded, corner.flatten(1), corner.flatten(1)), rd)
    spatial = rd.transform.spatial_map(mapped.relevance, mapped.encoded.coefficients)
    assert spatial[:, :4, :4].sum() > 0.6 * spatial.sum()

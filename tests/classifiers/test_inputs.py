"""Channels and sizes of inputs: as asked for, or as the network tells."""

import pytest
import timm
import torch
from torch import nn

from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from helpers.networks import Grey, TinyNet

SMALL = "test_efficientnet"


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "network",
    [
        "helpers.networks.Grey",
        Grey(),
        torch.jit.script(Grey()),
        nn.Sequential(nn.Flatten(), nn.Linear(1024, 5)),
        timm.create_model(SMALL, in_chans=1),
    ],
)
def test_channels_are_read_off_the_first_layer_and_that_is_said(network, caplog):
    classifier = load_classifier(network, input_size=32)
    assert classifier.input_size == (1, 32, 32)
    assert classifier.mean.numel() == classifier.std.numel() == 1
    assert sum("takes 1 channel, so inputs are 1x32x32" in line for line in caplog.messages) == 1


@pytest.mark.parametrize(
    "options", [{"input_size": (1, 32, 32)}, {"input_size": [1, 32, 32], "mean": [0.5], "std": [0.5]}]
)
def test_channels_that_are_given_need_no_line(options, caplog):
    for network in ("helpers.networks.Grey", Grey()):
        assert load_classifier(network, **options).input_size == (1, 32, 32)
    assert load_classifier(SMALL, "random", **options).model.conv_stem.in_channels == 1  # built for them
    assert not any("channel" in line for line in caplog.messages)


class Pooled(nn.Sequential):
    """A network of any size, on sounds (1) or volumes (3)."""

    def __init__(self, dims, channels=1):
        convolution = getattr(nn, f"Conv{dims}d")(channels, 4, 3)
        pool = getattr(nn, f"AdaptiveAvgPool{dims}d")(1)
        super().__init__(convolution, nn.ReLU(), pool, nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("dims", "kind"), [(1, "sounds, .* samples"), (3, "volumes, .* voxels")])
def test_networks_on_sound_and_volumes_need_one_number(dims, kind, channels, caplog):
    classifier = load_classifier(Pooled(dims, channels), input_size=[12])
    assert classifier.input_size == (channels, *[12] * dims)
    assert classifier.mean.flatten().tolist() == [0]
    assert not caplog.messages
    with pytest.raises(InputError, match=f"takes {kind}: give input_size"):
        load_classifier(Pooled(dims, channels))


@pytest.mark.parametrize(("dims", "other"), [(2, 3), (3, 2)])
def test_networks_may_hold_weights_of_other_ranks(dims, other):
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = Pooled(dims), Pooled(other)

        def forward(self, x):
            return self.used(x)

    assert load_classifier(Mixed(), input_size=[1, *[8] * dims], mean=[0], std=[1]).num_classes == 3


def test_a_mean_of_several_values_tells_the_channels(caplog):
    two = nn.Sequential(nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert load_classifier(two, input_size=32, mean=[0.1, 0.2], std=[0.5]).input_size == (2, 32, 32)
    assert not any("channel" in line for line in caplog.messages)


def test_a_mean_of_another_number_of_values_than_channels_is_named():
    for given in ({"mean": [0.5, 0.4, 0.3]}, {"std": [0.5, 0.4, 0.3]}):
        with pytest.raises(InputError, match=r"mean or std has 3 values, but .*Grey takes inputs of 1 channel$"):
            load_classifier(Grey(), input_size=32, **given)


def test_the_first_layer_in_a_module_need_not_be_the_first_that_runs(caplog):
    class Reversed(TinyNet):
        def __init__(self):
            super().__init__()
            self.features, features = nn.Conv2d(7, 7, 1), self.features  # not used
            self.body = features

        def forward(self, x):
            return self.head(self.body(x).flatten(1))

    assert load_classifier(Reversed(), input_size=32).input_size == (3, 32, 32)
    assert not any("channel" in line for line in caplog.messages)


@pytest.mark.parametrize("name", ["test_vit", "vit_tiny_patch16_224", "mixer_s32_224", "maxvit_tiny_tf_224"])
def test_networks_of_a_fixed_size_take_another(name):
    assert load_classifier(name, "random", num_classes=3, input_size=96).input_size == (3, 96, 96)


def test_a_module_of_a_fixed_size_is_resampled_in_its_copy_alone():
    vit = timm.create_model("vit_tiny_patch16_224", depth=1, num_classes=3).eval()
    classifier = load_classifier(vit, input_size=96)
    expected = timm.create_model("vit_tiny_patch16_224", depth=1, num_classes=3).eval()
    expected.load_state_dict(vit.state_dict())
    expected.set_input_size(img_size=(96, 96))
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(classifier(x), expected(2 * x - 1).detach())
    assert vit.patch_embed.img_size == (224, 224)


def test_sizes_that_a_module_was_built_for_are_known_and_weights_of_either_size_fit(tmp_path):
    kind = {"depth": 1, "num_classes": 3}
    small = timm.create_model("vit_tiny_patch16_224", img_size=96, **kind)
    assert load_classifier(small).input_size == (3, 96, 96)
    torch.save(small.state_dict(), tmp_path / "small.pth")
    torch.save(timm.create_model("vit_tiny_patch16_224", **kind).state_dict(), tmp_path / "large.pth")
    for file in ("small.pth", "large.pth"):
        classifier = load_classifier(
            "vit_tiny_patch16_224", str(tmp_path / file), model_args={"depth": 1}, input_size=96
        )
        assert classifier.input_size == (3, 96, 96)
        assert classifier.num_classes == 3


def test_sizes_that_do_not_fit_get_a_line_that_says_which_do():
    vit = timm.create_model("vit_tiny_patch16_224", depth=1)
    for network in (vit, "test_vit"):
        with pytest.raises(InputError, match="has patches of 16, which do not divide 100: give 96 or 112"):
            load_classifier(network, "auto" if network is vit else "random", input_size=100)
    with pytest.raises(InputError, match=r"takes inputs of 224x224 alone: build it with img_size=96"):
        load_classifier(timm.create_model("mixer_s32_224"), input_size=96)

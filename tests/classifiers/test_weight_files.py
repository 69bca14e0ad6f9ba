"""State dicts are found in weight files as training programs write them; what is taken is said, or asked."""

import pytest
import timm
import torch
from torch import nn

from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from helpers.networks import TinyNet

TINY = {"name": "helpers.networks.TinyNet", "input_size": 32, "mean": [0.5], "std": [0.5]}


def state(seed: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return TinyNet().state_dict()


def prefixed(prefix: str, seed: int = 1) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in state(seed).items()}


def optimizer_state() -> dict:
    network = TinyNet()
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.rand(1, 3, 32, 32)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def load(content: object, path) -> torch.Tensor:
    """The head's weights, with those of the file."""
    torch.save(content, path / "net.pth")
    return load_classifier(weights=str(path / "net.pth"), **TINY).model.head.weight


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "net", "network", "weights"])
def test_any_single_wrapper_holds_the_weights(wrapper, tmp_path, caplog):
    content = {"epoch": 3, "loss": torch.tensor(0.1), wrapper: state(), "optimizer": optimizer_state(), "best": None}
    assert torch.equal(load(content, tmp_path), state()["head.weight"])
    assert torch.equal(load({"checkpoint": {wrapper: state()}}, tmp_path), state()["head.weight"])
    assert not caplog.messages


@pytest.mark.parametrize("prefix", ["model.", "net.", "module.", "module.model.", "classifier.backbone."])
def test_one_prefix_is_taken_off_and_that_is_said(prefix, tmp_path, caplog):
    content = {"state_dict": {**prefixed(prefix), "loss.weight": torch.ones(5), "accuracy.total": torch.ones(())}}
    assert torch.equal(load(content, tmp_path), state()["head.weight"])
    (line,) = caplog.messages
    assert f"the prefix {prefix} of the weights was taken off; left out: loss.weight, accuracy.total" in line
    caplog.clear()
    assert torch.equal(load(prefixed(prefix), tmp_path), state()["head.weight"])
    assert caplog.messages[0].endswith(f"the prefix {prefix} of the weights was taken off")


def test_names_of_compiled_networks_are_those_of_the_network(tmp_path, caplog):
    assert torch.equal(load(prefixed("_orig_mod."), tmp_path),
                       state()["head.weight"])  # fmt: skip
    network = TinyNet()
    network.load_state_dict(state())
    network.features = torch.compile(network.features)
    assert torch.equal(load({"state_dict": network.state_dict()}, tmp_path), state()["head.weight"])
    assert not caplog.messages


def test_of_several_networks_the_one_that_fits_is_taken_or_the_averaged_one(tmp_path, caplog):
    other = nn.Linear(2, 2).state_dict()
    assert torch.equal(load({"discriminator": other, "classifier": state()}, tmp_path), state()["head.weight"])
    assert not caplog.messages
    for averaged in ("ema", "state_dict_ema", "model_ema"):
        caplog.clear()
        assert torch.equal(load({"model": state(2), averaged: state()}, tmp_path), state()["head.weight"])
        assert f"of model, {averaged}, all of which fit, {averaged} was taken" in caplog.messages[0]
    with pytest.raises(InputError, match=r"that fit \(semantic, schema\)"):
        load({"semantic": state(), "schema": state(2)}, tmp_path)
    student_and_teacher = {**prefixed("student."), **prefixed("teacher.", 2)}
    with pytest.raises(
        InputError,
        match=r"that fit \(state_dict.student, state_dict.teacher\): save one of",
    ):
        load({"state_dict": student_and_teacher}, tmp_path)
    assert torch.equal(load({"first": state(), "second": state()}, tmp_path), state()["head.weight"])  # which are equal


def test_a_prefix_does_not_hide_what_is_missing_or_too_much(tmp_path):
    short = {key: value for key, value in prefixed("model.").items() if key != "model.head.bias"}
    with pytest.raises(InputError, match=r"do not fit TinyNet: Missing key\(s\) in state_dict: \"head.bias\""):
        load({"state_dict": short}, tmp_path)
    with pytest.raises(InputError, match=r"do not fit TinyNet: Unexpected key\(s\) in state_dict: \"more\""):
        load({**prefixed("model."), "model.more": torch.ones(1)}, tmp_path)
    with pytest.raises(InputError, match="holds no state dict"):
        load({"epoch": 3, "optimizer": optimizer_state()}, tmp_path)


def test_classes_and_channels_are_read_off_such_files_too(tmp_path):
    network = timm.create_model("test_efficientnet", num_classes=7, in_chans=1)
    torch.save({"state_dict": {f"net.{key}": value for key, value in network.state_dict().items()}}, tmp_path / "n.pth")
    classifier = load_classifier("test_efficientnet", str(tmp_path / "n.pth"))
    assert (classifier.num_classes, classifier.input_size) == (7, (1, 160, 160))

"""Adversarial training: the attack finds the worst image of the ball, and both networks of a seed are written."""

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from amortex.classifiers.loading import load_classifier
from helpers.photographs import photographs
from helpers.scripts import load_script


@pytest.fixture(scope="module")
def script():
    return load_script("train_robust")


def test_the_attack_on_a_linear_network_is_the_worst_of_the_ball(script):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    images, labels, epsilon = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 0, 1]), 0.1
    adversarial = script.attacked(network, images, labels, epsilon, steps=3)
    weight = network[1].weight.detach()
    towards = (weight[1 - labels] - weight[labels]).sign().reshape(images.shape)
    torch.testing.assert_close(adversarial, (images + epsilon * towards).clamp(0, 1))
    assert not adversarial.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())  # training sees none of it


def test_crops_are_flipped_and_shifted_parts(script):
    image = torch.arange(12 * 12, dtype=torch.uint8).reshape(1, 1, 12, 12).expand(64, 3, -1, -1)
    crops = script.augmented(image, torch.Generator().manual_seed(0)) * 255
    padded = F.pad(image[:1].float(), (script.PAD,) * 4, mode="reflect")[0, 0]
    windows = padded.unfold(0, 12, 1).unfold(1, 12, 1).flatten(0, 1)
    flips = torch.cat([windows, windows.flip(2)])
    found = [int((flips == crop[0].round()).all((1, 2)).nonzero()[0]) for crop in crops]
    assert len({place % len(windows) for place in found}) > 30
    assert {place >= len(windows) for place in found} == {False, True}


def test_both_networks_are_written_and_can_be_explained(script, tmp_path, monkeypatch, capsys):
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            photographs(tmp_path / "data" / part / name, "0.png", "1.png")
    (tmp_path / "data/train/cat/broken.png").write_text("no image")
    small = ("--input-size", "32", "--epochs", "1", "--batch-size", "2", "--attack-steps", "1")
    command = ["train_robust.py", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), *small]
    monkeypatch.setattr(sys, "argv", command)
    script.main()
    assert "broken.png" in capsys.readouterr().err
    names = tmp_path / "out/classes.txt"
    networks = [
        load_classifier("test_resnet", str(tmp_path / f"out/{name}_0.safetensors"), input_size=32, class_names=names)
        for name in ("standard", "robust")
    ]
    assert networks[0].class_names == ["cat", "dog"]
    outputs = [network(torch.full((1, 3, 32, 32), 0.3)) for network in networks]
    assert outputs[0].shape == (1, 2)
    assert not torch.equal(*outputs)


def test_a_folder_without_classes_gets_one_line(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train_robust.py", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 2
    assert "give a folder with train and val" in capsys.readouterr().err

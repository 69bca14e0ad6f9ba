"""Networks from timm, class paths and files; nothing in a file is executed."""

import json
import pickle

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from helpers import networks

SMALL = "test_efficientnet"  # timm's smallest


def batch(size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["safetensors", "pth", "half", "checkpoint", "data parallel"])
def test_weights_come_from_a_file_and_so_does_the_number_of_classes(tmp_path, kind):
    network = timm.create_model(SMALL, num_classes=7).eval()
    if kind == "half":
        network = network.half().float()
    state, file = network.state_dict(), tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pth")
    if kind == "safetensors":
        save_file(state, file)
    else:
        if kind == "half":
            state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
        elif kind == "data parallel":
            state = {"module." + key: value for key, value in state.items()}
        torch.save({"epoch": 3, "state_dict": state} if kind == "checkpoint" else state, file)
    classifier = load_classifier(SMALL, str(file), mean=(0.5,), std=(0.5,))
    assert classifier.num_classes == 7
    assert classifier.weights == str(file)
    with torch.no_grad():
        torch.testing.assert_close(classifier(batch(160)), network(batch(160) * 2 - 1))


def test_class_path_with_arguments_and_weights(tmp_path):
    network = networks.TinyNet(width=6, num_classes=3)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    classifier = load_classifier(
        "helpers.networks.TinyNet", str(tmp_path / "net.pth"), num_classes=3, model_args={"width": 6}
    )
    assert classifier.num_classes == 3
    assert torch.equal(classifier.model.head.weight, network.head.weight)


def test_a_function_that_builds_a_network_is_taken():
    classifier = load_classifier("helpers.networks.tiny_net", num_classes=3, input_size=32)
    assert (type(classifier.model), classifier.num_classes) == (networks.TinyNet, 3)
    assert load_classifier("torchvision.models.resnet18", input_size=32).num_classes == 1000


def test_a_pickle_that_would_execute_code_is_refused_and_does_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"weight": Attack()}, tmp_path / "zip.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Attack(), protocol=2))
    for name in ("zip.pth", "bare.pth"):
        with pytest.raises(InputError, match="cannot read weights") as caught:
            load_classifier("helpers.networks.TinyNet", str(tmp_path / name))
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_files_without_fitting_weights_are_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "empty.pth").touch()
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "vit.pth")
    for name, why in {
        "text.safetensors": "cannot read weights",
        "empty.pth": "cannot read weights",
        "list.pth": "cannot read weights|no state dict",
        "vit.pth": "do not fit EfficientNet: Missing key",
        "missing.pth": "no weight file",
    }.items():
        with pytest.raises(InputError, match=why) as caught:
            load_classifier(SMALL, str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_files_that_hold_something_else_say_what(tmp_path):
    state = networks.TinyNet().state_dict()
    torch.save({"state_dict": state, "best": np.float64(0.9)}, tmp_path / "number.ckpt")
    torch.save(networks.TinyNet(), tmp_path / "network.pt")
    torch.jit.trace(networks.TinyNet(), batch()).save(tmp_path / "script.pt")
    (tmp_path / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (tmp_path / "page.safetensors").write_text("<!doctype html>\n<html>")
    (tmp_path / "empty.pth").touch()
    for name, why in {
        "number.ckpt": r"besides tensors \(numpy\S*\.scalar, numpy\.dtype\), .*: save model\.state_dict\(\) alone",
        "network.pt": r"besides tensors \(helpers\.networks\.TinyNet, .*, \.\.\.\)",
        "script.pt": "a TorchScript program, no weights: from Python",
        "pointer.pth": r"it is text \('version https://git-lfs.github.com/spec/v1'\)",
        "page.safetensors": "it is text .*doctype html.*: download the weights themselves",
        "empty.pth": "it is empty",
    }.items():
        with pytest.raises(InputError, match=why):
            load_classifier("helpers.networks.TinyNet", str(tmp_path / name))


def test_timm_model_in_a_local_folder_with_its_own_labels(tmp_path):
    network = timm.create_model(SMALL, num_classes=2).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    cfg = {"input_size": [3, 64, 64], "mean": [0, 0, 0], "std": [1, 1, 1], "classifier": "classifier"}
    labels = {"label_names": ["n1", "n2"], "label_descriptions": {"n1": "moth", "n2": "bee, honey bee"}}
    config = {"architecture": SMALL, "num_classes": 2, "pretrained_cfg": cfg, **labels}
    (tmp_path / "config.json").write_text(json.dumps(config))
    classifier = load_classifier(f"local-dir:{tmp_path}")
    assert (classifier.input_size, classifier.num_classes, classifier.class_name(1)) == ((3, 64, 64), 2, "bee")
    torch.testing.assert_close(classifier(batch(64)), network(batch(64)).detach())
    with pytest.raises(InputError, match="comes with 2 classes; a head of 3 would be untrained"):
        load_classifier(f"local-dir:{tmp_path}", num_classes=3)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet5", "resnet50"),
        ("efficientnt_b0", "efficientnet_b0"),
        ("resnet5O.a1_in1k", "resnet50"),
        ("timm/resnet18.a1_in1k", "hf-hub:timm/resnet18.a1_in1k"),
        ("helpers.networks.TinyNett", "helpers.networks has no TinyNett: did you mean TinyNet"),
        ("no_such_package.Net", "importable package.module.Class"),
        ("helpers.networks.Broken", "no such layer"),
        ("pathlib.Path", "no class of torch.nn.Module"),
        ("os.system", "nor a function that builds one"),
        ("shutil.rmtree", "nor a function that builds one"),
        ("helpers.networks.no_network", "builds no torch.nn.Module: it returns dict"),
        ("helpers.networks.NoClassifier", "no classifier"),
        ("local-dir:/nowhere", "check its arguments|give its weights"),
    ],
)
def test_names_that_lead_nowhere_get_a_hint(name, hint):
    with pytest.raises(InputError, match=hint) as caught:
        load_classifier(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"num_classes": 7},
            r"Renamed has no argument num_classes: give model_args {\"classes\": N} \(--model-args\)$",
        ),
        (
            {"model_args": {"clases": 7}},
            r"Renamed has no argument 'clases', which model_args give: did you mean classes\?",
        ),
        ({"model_args": {"q": 7}}, r"Renamed has no argument 'q', which model_args give: it has width, classes$"),
        ({"model_args": {"width": "x"}}, r"cannot build .*Renamed: TypeError: .*; model_args are its arguments$"),
        (
            {"weights": "seven.pth"},
            r"of 7 classes, and Renamed was built for 5: give model_args {\"classes\": N} \(--model-args\)$",
        ),
    ],
)
def test_arguments_of_a_class_that_do_not_fit_get_a_line_that_names_its_own(options, why, tmp_path):
    if "weights" in options:
        options = {"weights": str(tmp_path / options["weights"])}
        torch.save(networks.TinyNet(num_classes=7).state_dict(), options["weights"])
    with pytest.raises(InputError, match=why) as caught:
        load_classifier("helpers.networks.Renamed", input_size=32, **options)
    assert "\n" not in str(caught.value)


def test_timm_names_are_offered_only_where_there_is_no_such_package(tmp_path, monkeypatch):
    (tmp_path / "mynet.py").write_text("import no_such_dependency")
    with pytest.raises(InputError, match="did you mean"):
        load_classifier("mynet.Net")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"cannot import .* No module named 'no_such_dependency'$"):
        load_classifier("mynet.Net")


def test_the_number_of_classes_that_a_line_names_fits(tmp_path):
    torch.save(networks.TinyNet(num_classes=7).state_dict(), tmp_path / "seven.pth")
    given = {"weights": str(tmp_path / "seven.pth"), "input_size": 32}
    assert load_classifier("helpers.networks.Renamed", model_args={"classes": 7}, **given).num_classes == 7
    with pytest.raises(InputError, match=r"of 7 classes, and TinyNet was built for 5: give num_classes=7$"):
        load_classifier("helpers.networks.TinyNet", **given)


def test_an_unreachable_hub_is_told_in_one_line(monkeypatch):
    def unreachable(*arguments, **more):
        raise ConnectionError("cannot reach the hub\nRetrying\nmany lines")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(InputError, match=r"cannot build resnet18: .*cannot reach the hub; give its weights") as caught:
        load_classifier("resnet18")
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_there_and_no_hub_are_told_in_plain_words(monkeypatch):
    class LocalEntryNotFoundError(OSError):
        pass

    def offline(*arguments, **more):
        raise LocalEntryNotFoundError("An error happened while trying to locate the file on the Hub and we cannot ...")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(InputError, match=r"^the weights of resnet18 are not on this machine, and the hub"):
        load_classifier("resnet18")

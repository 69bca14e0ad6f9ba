"""`import amortex`: ways to load an explainer."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import amortex
from amortex.amortized.explainer import Amortized
from amortex.app.library import Options
from amortex.app.options import build_parser
from amortex.core.catalog import load as load_class
from amortex.core.errors import InputError
from amortex.explainers import METHODS
from amortex.explainers.rde import RDE
from helpers.library import NAMES, SMALL, load
from helpers.networks import ReluNet, TinyNet
from helpers.releases import write_release

OF_FILES = {"inputs", "explainer", "target", "out", "overwrite", "certificate_samples", "batch_size", "no_panels",
            "quiet"}  # fmt: skip


def test_importing_costs_nothing_and_all_names_are_there():
    heavy = "import sys, amortex; print([name for name in ('torch', 'timm', 'matplotlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert [amortex.InputError, amortex.METHODS, amortex.RDE] == [InputError, METHODS, RDE]
    assert all(hasattr(amortex, name) for name in dir(amortex))
    with pytest.raises(AttributeError, match="no_such"):
        _ = amortex.no_such
    packages = {path.parent.name for path in Path(amortex.__file__).parent.glob("*/__init__.py")}
    assert packages <= set(dir(amortex)) == set(amortex.__all__)


def test_it_takes_every_option_of_explain_py():
    named = set(inspect.signature(amortex.load_explainer).parameters) - {"source", "options"}
    assert named | set(Options.__annotations__) | OF_FILES == set(vars(build_parser().parse_args([])))


def test_without_arguments_it_is_the_explainer_that_amortex_brings():
    loaded = amortex.load_explainer(input_size=64, device="cpu")
    assert isinstance(loaded.explainer, Amortized)
    assert loaded.explainer.learned_steps > 0
    assert repr(loaded).startswith("amortized: Amortized(seed=0, ")
    assert loaded.classifier.name == "tf_efficientnet_lite0"


def test_a_trained_explainer_goes_with_a_classifier_that_is_named_or_there(tmp_path, two_files):
    folder, masks = write_release(tmp_path / "release"), []
    torch.manual_seed(0)
    network = TinyNet()
    with torch.random.fork_rng():
        torch.manual_seed(0)  # as `load_classifier` builds it
        network.load_state_dict(TinyNet().state_dict())
    for classifier in (
        "helpers.networks.TinyNet",
        network,
        amortex.load_classifier(network, input_size=32, mean=[0.5], std=[0.5]),
    ):
        own = SMALL if classifier is network else {"device": "cpu"}
        loaded = amortex.load_explainer(folder, classifier=classifier, lambda_k=2, **own)
        assert isinstance(loaded.explainer, Amortized)
        assert loaded.explainer.lambda_k == 2
        masks.append(loaded.explain(two_files).mask)
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])
    with pytest.raises(InputError, match="trained for another classifier weights"):
        amortex.load_explainer(folder, classifier=TinyNet(sharpness=1), **SMALL)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_loaded_by_name(method):
    loaded = load(method, "helpers.networks.ReluNet")
    assert isinstance(loaded.explainer, load_class(METHODS[method].path))
    assert loaded.method == method
    assert loaded.classifier.name == "helpers.networks.ReluNet"


def test_options_reach_the_explainer():
    rde = load(None, lambda_k=2.5, steps=3, samples=1, lr=0.1, preset="paper", init="startgrad", seed=4).explainer
    assert isinstance(rde, RDE)
    assert (rde.lambda_k, rde.preset.steps, rde.preset.lr, rde.init, rde.seed) == (2.5, 3, 0.1, "startgrad", 4)
    assert rde.preset.name == "paper, steps=3, samples=1, lr=0.1"
    rd = load(wavelet="haar", padding="symmetric", obfuscation="blur", distortion="l2").explainer.rate_distortion
    assert repr(rd.transform) == "Wavelet(wavelet='haar', levels=2, padding='symmetric', dims=2)"
    assert repr(rd).endswith("'blur', 'l2')")
    wide = load(model_args={"width": 6}, class_names=NAMES, batch_invariant=True)
    assert wide.classifier.model.head.in_features == 24
    assert wide.explainer.rate_distortion.batch_invariant
    size = "3x32x32, weights='auto')"
    assert repr(wide.classifier) == f"Classifier('helpers.networks.TinyNet', 5 classes, {size}"


def test_a_module_is_copied_and_left_as_it_is():
    network = ReluNet().train()
    loaded = load(classifier=network, class_names=NAMES)
    assert loaded.classifier.name == "helpers.networks.ReluNet"
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    image = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded.classifier(image), network.eval()((image - 0.5) / 0.5), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"lambdak": 5}, "unknown option 'lambdak': did you mean lambda_k?"),
        ({"out": "x"}, "unknown option 'out'"),
        ({"methods": "wam"}, "unknown option 'methods': did you mean method?"),
        ({"class_name": NAMES}, "unknown option 'class_name': did you mean class_names"),
        ({"method": "wamm"}, "method: unknown method 'wamm': did you mean wam"),
        ({"method": "magic"}, "method: unknown method 'magic'"),
        ({"lambda_k": 5}, "wam has no lambda_k; it has rate, samples, min_retention; or choose"),
        ({"method": "cartoonx", "lambda_k": "five"}, "lambda_k: invalid float value: 'five'"),
        ({"method": "cartoonx", "lambda_k": True}, "lambda_k cannot be True"),
        ({"method": "cartoonx", "steps": [5, 10]}, "steps: invalid int value: '[5, 10]'"),
        ({"compile": "no"}, "compile must be True or False, not 'no'"),
        ({"method": "saliency", "compile": True}, "leave out compile"),
        ({"activation": "sofmax"}, "activation: unknown activation 'sofmax': did you mean softmax?"),
        ({"distortion": "label_l1"}, "distortion: unknown distortion 'label_l1': did you mean label_l2"),
        ({"obfuscation": "gausian"}, "obfuscation: unknown obfuscation 'gausian': did you mean gaussian?"),
        ({"wavelet": "sym44"}, "unknown wavelet 'sym44': did you mean sym4"),
        ({"method": "cartoonx", "preset": "best"}, "preset: unknown preset 'best'"),
        ({"levels": 40}, "levels must be at most 10"),
        ({"device": "abacus"}, "device 'abacus' cannot be used here"),
        ({"classifier": "no_net"}, "timm has no model 'no_net'"),
        ({"classifier": torch.nn.Identity()}, "is no classifier"),
        ({"classifier": ReluNet(), "weights": "random"}, "a module is explained as it is"),
        ({"class_names": ["ant"]}, "5 classes, but 1 class name was given"),
        ({"method": None, "source": "/nowhere"}, "no explainer at /nowhere"),
        ({"source": "/nowhere"}, "wam needs no source"),
        (
            {"method": None, "source": "cartoonx"},
            "no explainer at cartoonx: give the method by its name, method='carto",
        ),
        ({"source": ReluNet()}, "source is a checkpoint or a release folder, not ReluNet: give it as classifier="),
        ({"method": "amortized"}, "there is no trained explainer for helpers.networks.TinyNet: train one"),
        (
            {"method": "amortized", "classifier": ReluNet()},
            "there is no trained explainer for a classifier of your own",
        ),
    ],
)
def test_bad_options_get_one_line(arguments, why):
    with pytest.raises(InputError) as caught:
        load(**arguments)
    assert why in str(caught.value)
    assert "--" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_classifier_that_is_loaded_takes_no_options():
    classifier = amortex.load_classifier(TinyNet(), input_size=32, class_names=NAMES)
    assert amortex.load_explainer(classifier=classifier, device="cpu").classifier is classifier
    with pytest.raises(InputError, match="mean belongs to load_classifier"):
        amortex.load_explainer(classifier=classifier, mean=[0.5])


def test_an_explainer_can_be_loaded_in_inference_mode(images):
    expected = load("cartoonx", steps=2).explain(images)
    with torch.inference_mode():
        loaded = load("cartoonx", steps=2)
    assert torch.equal(loaded.explain(images).mask, expected.mask)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_several_volumes_are_not_taken_for_channels_of_one(count):
    explainer = amortex.load_explainer(modality="volume", method="wam", device="cpu")
    with pytest.raises(InputError, match=f"has {count} channels, the classifier takes 1: several volumes are a list"):
        explainer.explain(np.zeros((count, 8, 8, 8), np.float32))
    assert len(explainer.explain([np.eye(8, dtype=np.float32)[None].repeat(8, 0)] * 2).row(1)) > 0

"""`torch.compile` as a switch: the same explanations and losses, and one clear line where it cannot be used."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

import amortex
from amortex.classifiers.classifier import Classifier
from amortex.core.errors import InputError
from helpers.explaining import explain
from helpers.photographs import photographs
from helpers.training import fit, metrics, versions

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")


@pytest.fixture
def compiled(monkeypatch):
    """How many networks were compiled."""
    calls = []
    original = Classifier.compile
    monkeypatch.setattr(Classifier, "compile", lambda self: (calls.append(self), original(self))[1])
    yield calls
    torch.compiler.reset()


@needs_compiler
def test_explanations_are_the_same(compiled, tmp_path):
    photos = photographs(tmp_path / "in", "a.png", "b.png")
    arguments = (photos, "--method", "cartoonx", "--steps", 3, "--samples", 2, "--lr", 0.1)
    for name, more in (("eager", ()), ("compiled", ("--compile",))):
        assert explain(*arguments, "--out", tmp_path / name, *more) == 0
    assert len(compiled) == 1
    for name in ("a", "b"):
        one, other = (load_file(tmp_path / run / f"{name}_mask.safetensors") for run in ("eager", "compiled"))
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
        assert any((band < 1).any() for band in one.values())  # the mask has moved


@needs_compiler
def test_training_is_the_same(compiled, folder):
    for value in ("false", "true"):
        assert fit("--model.compile", value, steps=2, every=2) == 0
    assert len(compiled) == 1
    assert fit("--ckpt_path", versions(folder)[1] / "checkpoints/last.ckpt", steps=4, every=2) == 0
    assert len(compiled) == 1  # not again: the run may go on elsewhere
    eager, other = (metrics(run, "train/loss") for run in versions(folder)[:2])
    assert other == pytest.approx(eager, rel=1e-3)
    assert eager


def test_methods_that_read_layers_refuse_it(tmp_path, capsys):
    photos = photographs(tmp_path / "in", "a.png")
    assert explain(photos, "--method", "gradcam", "--out", tmp_path / "out", "--compile") == 2
    assert "reads layers, which compiling hides" in capsys.readouterr().err


def test_a_classifier_of_others_is_copied(compiled, tiny_classifier):
    pipeline = amortex.load_explainer(
        method="cartoonx", classifier=tiny_classifier, levels=2, compile=True, device="cpu"
    )
    assert compiled == [pipeline.classifier]
    assert pipeline.classifier is not tiny_classifier


def test_what_cannot_be_compiled_is_one_line(tiny_classifier):
    def broken(graph, inputs):
        raise OSError("no compiler here")

    tiny_classifier.compile(backend=broken)
    try:
        with pytest.raises(InputError, match=r"cannot compile tiny here .*no compiler here"):
            tiny_classifier(torch.zeros(1, *tiny_classifier.input_size))
    finally:
        tiny_classifier.model._compiled_call_impl = None
        torch.compiler.reset()

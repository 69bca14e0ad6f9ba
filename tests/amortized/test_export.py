"""Releases and ONNX files compute what the trained predictor does."""

import json
import sys

import onnxruntime
import pytest
import torch

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.config import PredictorConfig
from amortex.amortized.export import ONNX, export_onnx, push
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.released import CONFIG, OTHERS, WEIGHTS
from amortex.app.train_cli import main
from amortex.core.errors import InputError
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.problems import training_module
from helpers.releases import checkpoint_content


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    module = training_module(predictor=PredictorConfig(width=8, gradient=False))
    torch.save(checkpoint_content(module), tmp_path / "run.ckpt")
    return tmp_path / "run.ckpt"


def test_a_release_holds_what_the_checkpoint_does(checkpoint, tmp_path, images, capsys):
    assert main(["export", str(checkpoint), str(tmp_path / "release"), "--classifier", "helpers.networks.TinyNet"]) == 0
    assert "explainer of helpers.networks.TinyNet" in capsys.readouterr().out
    (tmp_path / "release" / ONNX).touch()  # of yesterday's weights
    assert main(["export", str(checkpoint), str(tmp_path / "release"), "--classifier", "helpers.networks.TinyNet"]) == 0
    assert {path.name for path in (tmp_path / "release").iterdir()} == {CONFIG, WEIGHTS}
    masks = [
        load_predictor(path, classifier="helpers.networks.TinyNet")(images).mask(0.1)
        for path in (checkpoint, tmp_path / "release")
    ]
    assert torch.equal(*masks)
    settings = json.loads((tmp_path / "release" / CONFIG).read_text())
    assert settings["identity"]["transform_wavelet"] == "db3"


def test_a_release_of_any_size_leaves_the_size_to_the_classifier(checkpoint, tmp_path):
    trained, any_size = tmp_path / "trained", tmp_path / "any"
    for folder, options in ((trained, ()), (any_size, ("--any-size",))):
        assert main(["export", str(checkpoint), str(folder), "--classifier", "helpers.networks.TinyNet", *options]) == 0
    settings = [json.loads((folder / CONFIG).read_text())["settings"] for folder in (trained, any_size)]
    assert settings[0]["problem"]["input_size"] is not None
    assert settings[1] == {**settings[0], "problem": {**settings[0]["problem"], "input_size": None}}


def test_without_the_packages_of_onnx_nothing_is_written(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", str(checkpoint), str(tmp_path / "release"), "--onnx"]) == 2
    assert "onnxscript is missing: pip install" in capsys.readouterr().err
    assert not (tmp_path / "release").exists()


@pytest.mark.parametrize("gradient", [pytest.param(False, marks=pytest.mark.slow), True])
def test_onnx_files_compute_the_same_for_any_batch(gradient, tiny_classifier, tmp_path, images):
    torch.manual_seed(0)
    predictor = MaskPredictor(
        RateDistortion(tiny_classifier, Wavelet("haar", 2)), PredictorConfig(gradient=gradient, width=8)
    ).eval()
    export_onnx(predictor, tmp_path / ONNX)
    session = onnxruntime.InferenceSession(tmp_path / ONNX, providers=["CPUExecutionProvider"])
    assert len(session.get_inputs()) == (5 if gradient else 2)
    prediction = predictor(images)
    given = {"image": images, "rate": torch.tensor([0.02, 0.1, 0.5])}
    if gradient:
        given |= {key: value for key, value in prediction.evidence.probe._asdict().items() if value is not None}
    _, mask, picture = session.run(None, {name: value.numpy() for name, value in given.items()})
    torch.testing.assert_close(torch.from_numpy(mask), prediction.mask(given["rate"]).detach(), rtol=0, atol=1e-4)
    assert picture.shape == (3, 1, 32, 32)


def test_optional_files_of_a_release_before_do_not_stay_on_the_hub(tmp_path, monkeypatch):
    uploads = []
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.HfApi.upload_folder", lambda _, **options: uploads.append(options))
    push(tmp_path, "me/mine")
    assert set(uploads[0]["delete_patterns"]) == {ONNX, OTHERS} < set(uploads[0]["allow_patterns"])


def test_what_the_hub_answers_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", lambda *_, **__: (_ for _ in ()).throw(OSError("no\nway")))
    with pytest.raises(InputError, match="cannot upload to me/mine: no; log in"):
        push(tmp_path, "me/mine")

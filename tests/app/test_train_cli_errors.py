"""Training refuses bad settings, and what are no explainers, in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import wandb
from safetensors.torch import save_file

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.released import CONFIG, WEIGHTS
from amortex.app import train_cli
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from helpers.training import BASE, ROOT, TINY, fit, versions


def test_checkpoints_of_strangers_run_nothing_and_untrained_explainers_explain_nothing(folder, capsys):
    def run(command: str, *arguments: str) -> str:
        common = ("--config", str(ROOT / "configs/base.yaml"), "--data.train", "photos", "--data.predict", "photos")
        assert train_cli.main([command, *common, *arguments]) == 2
        return next(line for line in capsys.readouterr().err.splitlines() if line.startswith("train.py:"))

    assert fit(steps=2, every=2) == 0
    last = versions(folder)[0] / "checkpoints/last.ckpt"
    assert "if you trust it" in run("predict", "--ckpt_path", str(last))
    checkpoint = torch.load(last, weights_only=True)
    checkpoint["hyper_parameters"]["problem"] |= {
        "classifier": "resnet18",
        "model_args": {"checkpoint_path": "evil.pth"},
    }
    torch.save(checkpoint, "loading.ckpt")
    assert "would load other files" in run("predict", "--ckpt_path=loading.ckpt")
    Path("broken.ckpt").write_bytes(last.read_bytes()[:1000])
    assert "cannot read an explainer" in run("fit", "--ckpt_path", "broken.ckpt")
    assert "download the checkpoint first" in run("fit", "--ckpt_path", "https://example.org/last.ckpt")
    for command in ("predict", "validate", "test"):
        assert "this explainer is untrained" in run(command, *TINY)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--data.train", "nowhere"), "nowhere"),
        (("--model.problem.classifier", "resnet-5"), "timm has no model"),
        (("--model.objective.rates", "[0.5, 0.1]"), "rates must be intervals"),
        (("--model.problem.obfuscation", "fog"), "unknown obfuscation"),
        (("--trainer.max_steps", "-1"), "max_steps"),
        (("--trainer.devices", "4000000000"), "trainer.devices is the number on this machine"),
        (("--trainer.precision", "bf16-true"), "trainer.precision is one of"),
        (("--trainer.inference_mode", "true"), "explanations need gradients"),
        (("--trainer.accumulate_grad_batches", "0"), "accumulate_grad_batches must be at least 1"),
        (("--model.lambda_k", "[0.0, 2.5]", "--model.refinement.steps", "2"), "lambda_k must be finite numbers"),
        (("--model.lambda_k", "[2.5, .inf]"), "lambda_k must be finite"),
        (("--model.lambda_k", "-3"), "model.lambda_k is a list: write --model.lambda_k '[-3]'"),
        (("--model.objective.rates", "0.3"), "objective.rates is a list: write --model.objective.rates '[0.3]'"),
        (("--model.validation_samples", "0"), "validation_samples must be at least 1"),
        (("--model.optimizer.weight_decay", "-1"), "weight_decay must be at least 0"),
        (("--model.refinement.only", "true"), "refinement.steps must be at least 0, and above it for the other"),
        (("--model.optimizer.lr", ".nan"), "lr must be above 0"),
        (("--model.optimizer.clip", ".nan"), "clip must be above 0"),
        (("--summary.images", "-1"), "summary.images must be at least 0"),
        (("--model.problem.value_range", "[0, 255]"), "images have values in [0, 1]"),
        (("--data.seed", "99999999999999999999"), "seed is 99999999999999999999"),
    ],
)
def test_bad_settings_end_with_one_line(arguments, why, folder, capsys):
    assert fit(*arguments) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train.py:")]
    assert len(error) == 1
    assert why in error[0]


def test_files_that_are_no_explainers_are_refused(folder):
    (folder / "text.ckpt").write_text("hello")
    (folder / "junk.ckpt").write_text("junk")
    torch.save({"state_dict": {}}, folder / "other.ckpt")
    torch.save({"run": os.system}, folder / "code.ckpt")
    (folder / "empty").mkdir()
    (folder / "popen").mkdir()
    config = {"settings": {"classifier": "subprocess.Popen", "model_args": {"args": ["touch", "run"]}}, "identity": {}}
    (folder / "popen" / CONFIG).write_text(json.dumps(config))
    save_file({"slope": torch.zeros(1)}, folder / "popen" / WEIGHTS)
    for name, why in {"no.ckpt": "no explainer at", "text.ckpt": "cannot read",
                      "junk.ckpt": "it is none, is damaged", "other.ckpt": "no amortex explainer",
                      "code.ckpt": "cannot read", "empty": "cannot read",
                      "popen": "if you trust it"}.items():  # fmt: skip
        with pytest.raises(InputError, match=why):
            load_predictor(folder / name)
    with pytest.raises(InputError, match=r"no class of torch\.nn\.Module"):
        load_classifier("subprocess.Popen", model_args={"args": ["touch", "run"]})
    assert not (folder / "run").exists()


def test_a_server_that_cannot_be_reached_is_told_in_one_line(folder):
    """In a process of its own: W&B reads its settings once."""
    here = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    here |= {"HOME": str(folder), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}  # files at home may hold a key
    command = [sys.executable, ROOT / "train.py", "fit", *BASE, *TINY, "--config", ROOT / "configs/logger/online.yaml"]
    command += ["--data.train", "photos", "--data.val_images", "4", "--trainer.max_steps", "1"]
    done = subprocess.run(command, cwd=folder, env=here, capture_output=True, text=True)
    assert done.returncode == 2
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("train.py:"))
    assert "No API key configured" in error
    assert "offline: true" in error


def test_wandb_that_is_disabled_leaves_nothing(folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert fit(steps=1, every=1, panels=True) == 0
    (run,) = versions(folder)
    assert (run / "metrics.csv").exists()
    assert not (folder / "runs/wandb").exists()


def test_wandb_that_nobody_asked_for_says_nothing(folder, capfd):
    wandb.teardown()  # it reads its settings once
    assert fit(steps=1, every=1, panels=True) == 0
    wandb.teardown()
    printed = capfd.readouterr()
    assert (folder / "runs/wandb").exists()
    assert "wandb:" not in printed.out + printed.err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("fit", "--model.problem.clasifier", "x"), "did you mean --model.problem.classifier?"),
        (("fit", "--data.trian=x"), "did you mean --data.train?"),
        (("compare", "--out", "x"), "did you mean --model.out?"),
        (("fit", "--config", "model.yaml"), "did you mean model.problem.classifier?"),
        (("compare", "--config", "model.yaml"), "did you mean model.problem.classifier?"),
        (("compare", "--config", "modle.yaml"), "did you mean model.sections?"),
        (("compare", "--model.sections", "[methds]"), "unknown section 'methds': did you mean methods?"),
        (("explain", "--lambdak", "5"), "did you mean --lambda-k?"),
        (("explain", "--trainer.devicse", "2"), "did you mean --trainer.devices?"),
        (("export", "--onnxx", "a", "b"), "did you mean --onnx?"),
        (("fitt",), "did you mean fit?"),
    ],
)
def test_mistyped_names_are_answered_by_near_ones(arguments, hint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("model.yaml").write_text("model:\n  problem:\n    clasifier: x\n")
    Path("modle.yaml").write_text("modle:\n  sections: [methods]\n")
    assert train_cli.main(list(arguments)) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(hint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.yaml", "modle.yaml"]

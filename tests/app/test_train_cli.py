"""Training end to end through the command line: files, resuming, learning, and what is refused."""

import csv
import math
import os
import signal
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Callback
from PIL import Image

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.app import train_cli
from amortex.io.images import Preprocess
from amortex.training.module import AmortizedTrainingModule
from amortex.training.schedules import one_cycle
from helpers.photographs import photographs
from helpers.training import ROOT, TINY, fit, metrics, versions


class StopAt(Callback):
    """Ends the run after some batches, by a signal."""

    def __init__(self, batches: int, by: signal.Signals) -> None:
        self.batches, self.by = batches, by

    def on_train_batch_end(self, trainer, *_) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == self.batches:
            signal.raise_signal(self.by)


def test_a_run_leaves_checkpoints_metrics_panels_and_an_offline_wandb_run(folder):
    assert fit() == 0
    (run,) = versions(folder)
    assert len(list((run / "panels").glob("*.png"))) == 2 * 4
    assert set(metrics(run, "val/objective")) == {2, 5}
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert all(0 < value < 1 for value in metrics(run, "val/distortion_2.5").values())
    (offline,) = (folder / "runs/wandb").glob("offline-run-*/run-*.wandb")
    assert offline.stat().st_size > 1000
    last = run / "checkpoints/last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    assert checkpoint["amortex"]["classifier"] == "helpers.networks.TinyNet"
    assert not [key for key in checkpoint["state_dict"] if "classifier" in key or "backbone" in key]
    predictor = load_predictor(last, classifier="helpers.networks.TinyNet")
    assert isinstance(predictor, MaskPredictor)
    averaged = checkpoint["state_dict"]["average.module.slope"]
    assert torch.equal(predictor.decoder.slope, averaged)
    assert not torch.equal(averaged, checkpoint["state_dict"]["predictor.decoder.slope"])


def test_bf16_trains_as_float32_does_but_for_rounding(folder):
    for precision in ("32-true", "bf16-mixed"):
        assert fit("--trainer.precision", precision, steps=3, every=3) == 0
    exact, rough = (metrics(run, "train/loss") for run in versions(folder))
    assert exact.keys() == rough.keys() == {0, 1, 2}
    assert [rough[step] for step in rough] == pytest.approx([exact[step] for step in exact], rel=0.05)
    assert exact != rough  # or nothing was rounded


@pytest.mark.parametrize(
    ("by", "kept", "micro"), [(signal.SIGINT, 4, 1), (signal.SIGTERM, 5, 1), (signal.SIGTERM, 4, 2)]
)
def test_an_ended_run_resumes_and_repeats_the_uninterrupted_one(by, kept, micro, folder, monkeypatch, capsys):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    # batches of which some are a step: the signal comes after the first batch of the next one
    batches = ("--trainer.accumulate_grad_batches", micro)
    assert fit(*batches, steps=6, every=2 * micro) == 0
    module = AmortizedTrainingModule
    monkeypatch.setattr(module, "configure_callbacks", lambda self: [StopAt(5 * micro - micro // 2, by)], raising=False)
    assert fit(*batches, steps=6, every=2 * micro) == 128 + by
    said = capsys.readouterr()
    assert "resume with --ckpt_path" in said.err
    assert f"the last checkpoint, of step {kept}: {os.path.relpath(versions(folder)[1])}/checkpoints/last" in said.out
    monkeypatch.undo()
    os.chdir(folder)
    last = versions(folder)[1] / "checkpoints/last.ckpt"
    content = torch.load(last, weights_only=True)
    assert content["global_step"] == content["state_dict"]["average.n_averaged"] == kept
    assert fit("--ckpt_path", last, *batches, steps=6, every=2 * micro) == 0
    whole, _, resumed = versions(folder)
    for name in ("train/loss", "val/objective", "train/gradient_norm"):
        expected, found = metrics(whole, name), metrics(resumed, name)
        assert set(found) == {step for step in expected if step >= kept}
        assert found == pytest.approx({step: expected[step] for step in found}, rel=1e-4)


def test_a_resumed_run_keeps_its_settings_but_those_asked_for(folder, capsys):
    assert fit("--model.optimizer.weight_decay", 0.02, "--model.optimizer.clip", 2, steps=2, every=2) == 0
    last = versions(folder)[0] / "checkpoints/last.ckpt"
    assert fit("--ckpt_path", last, "--model.optimizer.clip", 0.5, "--model.optimizer.lr", 0.03, steps=4, every=2) == 0
    said = capsys.readouterr()
    assert "clip is 0.5 from now on, 2.0 in the checkpoint" in said.err
    assert "going on after step 2" in said.out
    kept = os.path.relpath(versions(folder)[1] / "checkpoints/last.ckpt")
    assert f"trained to step 4: {os.path.relpath(versions(folder)[1])}\n" in said.out
    assert f"explain with it: python explain.py --explainer {kept}\n" in said.out
    settings = yaml.safe_load((versions(folder)[1] / "hparams.yaml").read_text())
    assert (settings["weight_decay"], settings["clip"], settings["lr"]) == (0.02, 0.5, 0.03)
    assert list(metrics(versions(folder)[1], "train/loss")) == [2, 3]
    rates = metrics(versions(folder)[1], "lr-AdamW")
    assert [rates[2], rates[3]] == pytest.approx([0.03 * one_cycle(step / 4) for step in (2, 3)])
    assert fit("--ckpt_path", last, "--model.predictor.width", 16, steps=4, every=2) == 2
    assert "predictor is built otherwise" in capsys.readouterr().err


def test_the_last_steps_are_saved_though_no_validation_follows(folder):
    assert fit(steps=5, every=3) == 0
    assert torch.load(versions(folder)[0] / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 5
    assert fit(steps=2, every=3) == 0
    assert torch.load(versions(folder)[1] / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 2


def test_training_lowers_the_objective(folder):
    same_rates = (
        "--model.objective.curriculum",
        0,
        "--model.objective.rates",
        "[0.2, 0.5]",
    )  # else the task gets harder meanwhile
    assert fit("--model.optimizer.lr", 0.01, *same_rates, "--model.problem.levels", 1, steps=60, every=20) == 0
    values = list(metrics(versions(folder)[0], "train/loss").values())
    assert sum(values[-10:]) < sum(values[:10])


def test_predict_explains_a_folder_resumes_and_lists_what_it_cannot_read(folder, capsys):
    assert fit("--model.optimizer.lr", 0.01) == 0
    last = versions(folder)[0] / "checkpoints/last.ckpt"
    (folder / "photos/bad.png").write_text("no image")
    predict = ["predict", "--config", str(ROOT / "configs/base.yaml"), *TINY, "--ckpt_path", str(last)]
    assert train_cli.main([*predict, "--trainer.callbacks", "[]"]) == 2
    assert "give --data.predict FOLDER" in capsys.readouterr().err
    predict += ["--data.predict", "photos"]
    for done in (12, 0):
        assert train_cli.main(predict) == 1
        printed = capsys.readouterr()
        assert f"{done} explained" in printed.out
        assert "bad.png" in printed.err
    with open(folder / "runs/predictions/summary.csv", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == 13
    explainer = Amortized(load_predictor(last, classifier="helpers.networks.TinyNet"))
    image = Preprocess(explainer.rate_distortion.classifier.data_config).load(Path("photos/3.png"))
    expected = explainer.explain(image[None]).mask.mean().item()
    assert float(rows["photos/3.png"]["rate"]) == pytest.approx(expected, rel=1e-4)


def test_a_warm_up_imitates_a_teacher_and_an_encoder_is_saved_with_it(folder):
    arguments = (
        "--model.objective.warm_up",
        3,
        "--model.objective.teacher_steps",
        2,
        "--model.predictor.encoder",
        "convnext_atto",
    )
    assert fit("--model.predictor.features", "false", *arguments) == 0
    (run,) = versions(folder)
    assert list(metrics(run, "train/loss")) == [0, 1, 2, 3, 4, 5]
    assert list(metrics(run, "train/distortion")) == [3, 4, 5]
    predictor = load_predictor(run / "checkpoints/last.ckpt", classifier="helpers.networks.TinyNet")
    weights = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    name = "encoder.network.stem_0.weight"
    assert torch.equal(predictor.decoder.state_dict()[name], weights[f"average.module.{name}"])
    assert not torch.equal(predictor.decoder.state_dict()[name], weights[f"predictor.decoder.{name}"])


def test_broken_images_and_classifiers_do_not_stop_training(folder):
    (folder / "photos/bad.png").write_text("no image")
    assert fit("--model.problem.classifier", "helpers.networks.NanOnNoise") == 0
    checkpoint = torch.load(versions(folder)[0] / "checkpoints/last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values() if value.is_floating_point())
    norms = torch.tensor(list(metrics(versions(folder)[0], "train/gradient_norm").values()))
    assert norms.isfinite().all()  # a bad image adds nothing,
    assert norms.max() > 0  # and the good ones still count


def test_an_image_without_figures_leaves_those_of_others(folder):
    photographs(folder / "val", "a.png", "b.png")
    Image.new("L", (40, 40), "white").save(folder / "val/white.png")
    data = ("--data.val", "val", "--data.val_images", 3)
    assert fit("--model.problem.classifier", "helpers.networks.NanOnWhite", *data, steps=2, every=2) == 0
    (objective,) = metrics(versions(folder)[0], "val/objective").values()
    assert math.isfinite(objective)


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_checkpoint_can_be_validated(command, folder):
    assert fit(steps=2, every=2) == 0
    last = versions(folder)[0] / "checkpoints/last.ckpt"
    data = ("--data.train", "photos", "--data.val_images", "4", "--ckpt_path", str(last))
    assert train_cli.main([command, "--config", str(ROOT / "configs/base.yaml"), *TINY, *data]) == 0
    found = metrics(versions(folder)[1], "val/objective")
    assert list(found.values()) == pytest.approx(list(metrics(versions(folder)[0], "val/objective").values()), rel=1e-4)


def test_a_vision_transformer_trains_without_touching_code(folder):
    network = (
        "--model.problem.classifier",
        "vit_tiny_patch16_224",
        "--model.problem.weights",
        "random",
        "--model.problem.input_size",
        224,
    )
    assert (
        fit(
            *network,
            "--model.problem.mean",
            "null",
            "--model.problem.std",
            "null",
            "--data.batch_size",
            2,
            steps=2,
            every=2,
        )
        == 0
    )
    predictor = load_predictor(versions(folder)[0] / "checkpoints/last.ckpt")
    assert predictor.backbone.channels == [192] * 4

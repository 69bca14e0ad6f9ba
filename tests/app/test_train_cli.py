"""Training end to end through the command line: files, resuming, learning, and what is refused."""

import csv
import os
import signal
from pathlib import Path

import pytest
import torch
import yaml

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.app import train_cli
from amortex.io.images import Preprocess
from amortex.training.schedules import one_cycle
from helpers.photographs import photographs, write_twelve
from helpers.training import LIGHT, TINY, fit, last_checkpoint, metrics, versions


def test_a_run_leaves_checkpoints_metrics_panels_and_an_offline_wandb_run(trained_run):
    run = trained_run
    assert len(list((run / "panels").glob("*.png"))) == 2 * 4
    assert set(metrics(run, "val/objective")) == {2, 5}
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert all(0 < value < 1 for value in metrics(run, "val/distortion_2.5").values())
    (offline,) = run.parents[1].glob("wandb/offline-run-*/run-*.wandb")
    assert offline.stat().st_size > 1000
    checkpoint = torch.load(last_checkpoint(run), weights_only=True)
    assert checkpoint["amortex"]["classifier"] == "helpers.networks.TinyNet"
    assert not [key for key in checkpoint["state_dict"] if "classifier" in key or "backbone" in key]
    predictor = load_predictor(last_checkpoint(run), classifier="helpers.networks.TinyNet")
    assert isinstance(predictor, MaskPredictor)
    averaged = checkpoint["state_dict"]["average.module.slope"]
    assert torch.equal(predictor.decoder.slope, averaged)
    assert not torch.equal(averaged, checkpoint["state_dict"]["predictor.decoder.slope"])


def test_bf16_trains_as_float32_does_but_for_rounding(folder):
    for precision in ("32-true", "bf16-mixed"):
        assert fit("--trainer.precision", precision, steps=3) == 0
    exact, rough = (metrics(run, "train/loss") for run in versions(folder))
    assert exact.keys() == rough.keys() == {0, 1, 2}
    assert [rough[step] for step in rough] == pytest.approx([exact[step] for step in exact], rel=0.05)
    assert exact != rough  # or nothing was rounded


def accumulating(batches: int) -> tuple[object, ...]:
    return "--trainer.accumulate_grad_batches", batches


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Runs of six steps by how many batches are a step."""
    runs: dict[int, Path] = {}

    def run(batches: int) -> Path:
        if batches not in runs:
            folder = tmp_path_factory.mktemp("uninterrupted")
            write_twelve(folder)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                assert fit(*accumulating(batches), steps=6, every=2 * batches) == 0
            (runs[batches],) = versions(folder)
        return runs[batches]

    return run


@pytest.mark.parametrize(
    ("by", "saved", "micro"), [(signal.SIGINT, 4, 1), (signal.SIGTERM, 5, 1), (signal.SIGTERM, 4, 2)]
)
def test_an_ended_run_resumes_and_repeats_the_uninterrupted_one(by, saved, micro, folder, uninterrupted, capsys):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    whole = uninterrupted(micro)
    # batches of which some are a step: the signal comes after the first batch of the next one
    stop = ("--trainer.callbacks+=helpers.callbacks.StopAt", f"--trainer.callbacks.batches={5 * micro - micro // 2}",
            f"--trainer.callbacks.signal_number={int(by)}")  # fmt: skip
    assert fit(*accumulating(micro), *stop, "--summary.images", 4, steps=6, every=2 * micro) == 128 + by
    (ended,) = versions(folder)
    printed = capsys.readouterr()
    assert "resume with --ckpt_path" in printed.err
    assert "this explainer" not in printed.out
    assert f"the last checkpoint, of step {saved}: {os.path.relpath(ended)}/checkpoints/last" in printed.out
    content = torch.load(last_checkpoint(ended), weights_only=True)
    assert content["global_step"] == content["state_dict"]["average.n_averaged"] == saved
    assert fit("--ckpt_path", last_checkpoint(ended), *accumulating(micro), steps=6, every=2 * micro) == 0
    resumed = versions(folder)[1]
    for name in ("train/loss", "val/objective", "train/gradient_norm"):
        expected, repeated = metrics(whole, name), metrics(resumed, name)
        assert set(repeated) == {step for step in expected if step >= saved}
        assert repeated == pytest.approx({step: expected[step] for step in repeated}, rel=1e-4)


def test_a_resumed_run_keeps_its_settings_but_those_asked_for(folder, capsys):
    assert fit(steps=2, every=2, model={"optimizer.weight_decay": 0.02, "optimizer.clip": 2}) == 0
    first = last_checkpoint(versions(folder)[0])
    changes = {"optimizer.clip": 0.5, "optimizer.lr": 0.03}
    assert fit("--ckpt_path", first, steps=4, every=2, model=changes) == 0
    printed = capsys.readouterr()
    assert "clip is 0.5 from now on, 2.0 in the checkpoint" in printed.err
    assert "going on after step 2" in printed.out
    second = versions(folder)[1]
    assert f"trained to step 4: {os.path.relpath(second)}\n" in printed.out
    checkpoint = os.path.relpath(last_checkpoint(second))
    assert f"explain.py --explainer {checkpoint} --out explanations/explainer_version_1" in printed.out
    settings = yaml.safe_load((second / "hparams.yaml").read_text())["optimizer"]
    assert (settings["weight_decay"], settings["clip"], settings["lr"]) == (0.02, 0.5, 0.03)
    assert list(metrics(second, "train/loss")) == [2, 3]
    rates = metrics(second, "lr-AdamW")
    assert [rates[2], rates[3]] == pytest.approx([0.03 * one_cycle(step / 4) for step in (2, 3)])
    assert fit("--ckpt_path", first, steps=4, every=2, model={"predictor.width": 16}) == 2
    assert "predictor is built otherwise" in capsys.readouterr().err


def test_the_last_steps_are_saved_though_no_validation_follows(folder):
    for number, steps in enumerate((5, 2)):
        assert fit(steps=steps, every=3) == 0
        checkpoint = torch.load(last_checkpoint(versions(folder)[number]), weights_only=True)
        assert checkpoint["global_step"] == steps


def test_training_lowers_the_objective(folder):
    same_rates = {"objective.curriculum": 0, "objective.rates": "[0.2, 0.5]"}  # else the task gets harder meanwhile
    quick = {"optimizer.lr": 0.01, "problem.levels": 1}
    assert fit(steps=60, every=60, model={**same_rates, **quick}) == 0
    losses = list(metrics(versions(folder)[0], "train/loss").values())
    assert sum(losses[-10:]) < sum(losses[:10])


def test_predict_explains_a_folder_resumes_and_lists_what_it_cannot_read(trained_run, folder, capsys):
    photographs(folder / "some", "a.png", "b.png", "c.png")
    (folder / "some/bad.png").write_text("no image")
    checkpoint = last_checkpoint(trained_run)
    predict = ["predict", *LIGHT, *TINY, "--ckpt_path", str(checkpoint)]
    assert train_cli.main(predict) == 2
    assert "give --data.predict FOLDER" in capsys.readouterr().err
    predict += ["--data.predict", "some"]
    for count in (3, 0):
        assert train_cli.main(predict) == 1
        printed = capsys.readouterr()
        assert f"{count} explained" in printed.out
        assert "bad.png" in printed.err
    with open(folder / "runs/predictions/summary.csv", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == 4
    explainer = Amortized(load_predictor(checkpoint, classifier="helpers.networks.TinyNet"))
    image = Preprocess(explainer.rate_distortion.classifier.data_config).load(Path("some/b.png"))
    expected = explainer.explain(image[None]).mask.mean().item()
    assert float(rows["some/b.png"]["rate"]) == pytest.approx(expected, rel=1e-4)


def test_a_warm_up_imitates_a_teacher_and_an_encoder_is_saved_with_it(folder):
    warm_up = {"objective.warm_up": 3, "objective.teacher_steps": 2}
    assert fit(model={**warm_up, "predictor.features": "false", "predictor.encoder": "convnext_atto"}) == 0
    (run,) = versions(folder)
    assert list(metrics(run, "train/loss")) == [0, 1, 2, 3, 4, 5]
    assert list(metrics(run, "train/distortion")) == [3, 4, 5]
    predictor = load_predictor(last_checkpoint(run), classifier="helpers.networks.TinyNet")
    weights = torch.load(last_checkpoint(run), weights_only=True)["state_dict"]
    name = "encoder.network.stem_0.weight"
    assert torch.equal(predictor.decoder.state_dict()[name], weights[f"average.module.{name}"])
    assert not torch.equal(predictor.decoder.state_dict()[name], weights[f"predictor.decoder.{name}"])


def test_a_vision_transformer_trains_without_touching_code(folder):
    own = {"problem.mean": "null", "problem.std": "null", "problem.input_size": "null"}
    network = {"problem.classifier": "test_vit", "problem.weights": "random", **own}
    assert fit("--data.batch_size", 2, steps=2, every=2, model=network) == 0
    predictor = load_predictor(last_checkpoint(versions(folder)[0]))
    assert predictor.backbone.channels == [64] * 4

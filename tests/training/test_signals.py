"""`train.py` on sounds and volumes: from files to a checkpoint that explains, for the configurations as they are."""

from pathlib import Path

import pytest

from amortex.amortized.checkpoints import load_predictor
from amortex.app import train_cli
from helpers.signals_data import write_sounds
from helpers.training import QUIET, ROOT, last_checkpoint, metrics

SHORT = (
    "--trainer.max_steps", "2", "--trainer.val_check_interval", "2", "--trainer.log_every_n_steps", "1",
    "--data.val_images", "1", "--data.batch_size", "2", "--summary.images", "0", "--model.validation_samples", "2",
    "--model.predictor.width", "8",
)  # fmt: skip


def fit(config: str, *arguments: str) -> int:
    path = str(ROOT / "configs" / f"{config}.yaml")
    return train_cli.main(["fit", "--config", path, *QUIET, *SHORT, *arguments])


@pytest.fixture(autouse=True)
def _without_wandb(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.chdir(tmp_path)


def test_an_explainer_of_digits_is_trained_and_exported(capsys):
    assert fit("volume") == 0
    run = Path("runs/volume/version_0")
    assert metrics(run, "val/objective").keys() == {1}
    assert len(list((run / "panels").glob("*_000002.png"))) == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("explain with it"))
    assert "--classifier" not in line  # bundled networks run no code of others
    predictor = load_predictor(last_checkpoint(run))
    assert (predictor.decoder.dims, predictor.backbone.channels) == (3, [16, 32, 64, 128])
    assert train_cli.main(["export", str(last_checkpoint(run)), "release"]) == 0
    assert load_predictor(Path("release")).rate_distortion.classifier.name == "digits3d"


def test_an_explainer_of_sounds_is_trained(tmp_path):
    folder = write_sounds(tmp_path / "sounds", [3000, 5000, 9000, 4000])
    problem = ("--model.problem.input_size", "[1, 16000]", "--model.problem.levels", "4")
    assert fit("audio", "--data.train", str(folder), *problem) == 0
    assert len(list(Path("runs/audio/version_0/panels").glob("*_000002.png"))) == 1
    predictor = load_predictor(last_checkpoint(Path("runs/audio/version_0")))
    rd = predictor.rate_distortion
    assert (rd.value_range, rd.classifier.name, predictor.decoder.dims) == ((-1.0, 1.0), "yamnet", 1)


def test_volumes_for_a_classifier_of_sounds_are_one_line(capsys):
    assert fit("audio", "--data.train", "digits3d") == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("digits3d holds volumes: the classifier takes sounds")

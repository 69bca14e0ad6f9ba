"""Validation from the command line: of the images that can be read, and the closing line."""

import math

import pytest
import torch
from PIL import Image

from amortex.app import train_cli
from helpers.comparing import compare, table
from helpers.photographs import photographs
from helpers.training import LIGHT, TINY, fit, last_checkpoint, metrics, told, versions


def test_broken_images_and_classifiers_do_not_stop_training(folder):
    (folder / "photos/bad.png").write_text("no image")
    assert fit(every=6, panels=True, model={"problem.classifier": "helpers.networks.NanOnNoise"}) == 0
    (run,) = versions(folder)
    checkpoint = torch.load(last_checkpoint(run), weights_only=True)
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values() if value.is_floating_point())
    norms = torch.tensor(list(metrics(run, "train/gradient_norm").values()))
    assert norms.isfinite().all()  # a bad image adds nothing,
    assert norms.max() > 0  # and the good ones still count


def test_an_image_without_figures_leaves_those_of_others(folder, capsys):
    photographs(folder / "val", "a.png", "b.png")
    Image.new("L", (40, 40), "white").save(folder / "val/white.png")
    data = ("--data.val", "val", "--data.val_images", 3)
    assert fit(*data, steps=2, every=2, panels=True, model={"problem.classifier": "helpers.networks.NanOnWhite"}) == 0
    (objective,) = metrics(versions(folder)[0], "val/objective").values()
    assert math.isfinite(objective)
    assert metrics(versions(folder)[0], "val/image_count") == {1: 2}
    assert "measured on 2 of 3 validation images" in capsys.readouterr().out


def test_validation_means_are_of_the_images_that_can_be_read(trained_run, folder, capsys):
    def validate(images: int) -> dict[str, float]:
        data = ("--data.train", "photos", "--data.val", "val", "--data.val_images", str(images))
        checkpoint = ("--ckpt_path", str(last_checkpoint(trained_run)))
        assert train_cli.main(["validate", *LIGHT, *TINY, *data, "--data.batch_size", "2", *checkpoint]) == 0
        run = versions(folder)[-1]
        return {name: sum(metrics(run, f"val/{name}").values()) for name in ("objective", "rate_5", "image_count")}

    photographs(folder / "val", "0.png", "1.png", "5.png")
    whole = validate(3)
    assert whole["image_count"] == 3
    assert "left out" not in capsys.readouterr().out
    for name in ("1b.png", "2.png", "3.png"):  # among them a whole batch
        (folder / "val" / name).write_text("no image")
    assert validate(6) == pytest.approx(whole, rel=1e-5)
    assert "measured on 3 of 6 validation images" in capsys.readouterr().out
    for name in ("0.png", "1.png", "5.png"):
        (folder / "val" / name).write_bytes(b"")
    assert train_cli.main(["validate", *LIGHT, *TINY, "--data.val", "val", "--data.train", "photos"]) == 2
    assert "none of 6 images can be read" in told(capsys)


def test_the_closing_line_agrees_with_a_comparison_on_the_same_images(folder, capsys):
    photographs(folder / "val", "0.png", "1.png", "2.png")
    same = ("--data.val", "val", "--data.val_images", "3", "--data.batch_size", "3")  # batches change the rounding
    assert fit(*same, "--summary.images", 3, "--summary.samples", 2, model={"refinement.steps": 1}) == 0
    (run,) = versions(folder)
    (line,) = (text for text in capsys.readouterr().out.splitlines() if text.startswith("objective at"))
    methods = ("--model.methods", "[cartoonx,random_wavelets,magnitude,sensitivity]", "--model.preset", "fast",
               "--model.sections", "[methods]", "--model.gallery", "0", "--model.finetune_steps", "[]",
               "--model.explainers.mine", str(last_checkpoint(run)))  # fmt: skip
    assert compare(*same, *methods) == 0
    native = table(folder / "report", "native")
    mine = "mine + 8 learned steps"
    expected = {
        "explainer": native[mine, "objective"], "explainer_best": native[mine, "best_objective"],
        "cartoonx": native["cartoonx", "objective"], "empty": native[mine, "label_l2@0"],
        **{name: native[name, "best_objective"] for name in ("random_wavelets", "magnitude", "sensitivity")},
    }  # fmt: skip
    closing = {name: sum(metrics(run, f"summary/{name}").values()) for name in (*expected, "images")}
    means = {name: float(row["mean"]) for name, row in expected.items()}
    assert closing == pytest.approx({**means, "images": 3}, rel=1e-4)
    best = min(("random_wavelets", "magnitude", "sensitivity"), key=means.__getitem__)
    assert "at lambda_k = 5 on 3 validation images" in line
    assert f"this explainer {means['explainer']:.3f} (hard masks in its order at their best rates: " in line
    assert f"best rates: {means['explainer_best']:.3f}), " in line
    assert f"hard masks in the best trivial order {means[best]:.3f} ({best}), " in line
    assert f"empty mask {means['empty']:.3f}, CartoonX fast {means['cartoonx']:.3f} (measured in" in line


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_checkpoint_can_be_validated(command, trained_run, folder):
    data = ("--data.train", "photos", "--data.val_images", "4", "--ckpt_path", str(last_checkpoint(trained_run)))
    assert train_cli.main([command, *LIGHT, *TINY, *data]) == 0
    (objective,) = metrics(versions(folder)[0], "val/objective").values()
    assert objective == pytest.approx(metrics(trained_run, "val/objective")[5], rel=1e-4)

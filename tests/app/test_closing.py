"""What training says when it is done: a command that works as it is printed, and what was left out."""

import shlex
from types import SimpleNamespace

import torch

from amortex.app import explain_cli
from amortex.app.closing import explain_command, left_out_of_training
from amortex.training.callbacks import summary
from helpers.data import batches, make, picture
from helpers.explaining import rows
from helpers.training import fit, last_checkpoint, versions


def offered(printed: str) -> list[str]:
    """The words of the command that training has printed."""
    (line,) = (line for line in printed.splitlines() if line.startswith("explain with it: "))
    return shlex.split(line.removeprefix("explain with it: "))


def test_the_command_at_the_end_explains_as_it_is_printed(folder, capsys):
    assert fit(steps=1, every=1) == 0
    python, script, *words = offered(capsys.readouterr().out)
    assert (python, script) == ("python", "explain.py")
    more = ["photos/0.png", "photos/1.png", "--device", "cpu", "--certificate-samples", "2", "--no-panels"]
    assert explain_cli.main([*words, *more]) == 0
    assert [row["file"] for row in rows(folder / "explanations/explainer_version_0")] == more[:2]
    assert fit(steps=1, every=1) == 0  # the results of one explainer are not in the way of the next
    assert explain_cli.main([*offered(capsys.readouterr().out)[2:], *more]) == 0


def test_the_command_is_quoted_and_names_what_a_file_alone_may_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"problem": {"classifier": "resnet18"}, "predictor": {"encoder": None}}
    checkpoint = str(tmp_path / "my runs/cats/version_3/checkpoints/last.ckpt")
    assert explain_command(checkpoint, settings) == (
        "python explain.py --explainer 'my runs/cats/version_3/checkpoints/last.ckpt' --out explanations/cats_version_3"
    )
    settings["problem"]["classifier"] = "hf-hub:some/one"
    command = explain_command(str(tmp_path / "kept/last.ckpt"), settings)
    assert command.endswith(f"--out explanations/{tmp_path.name}_kept --classifier hf-hub:some/one")


def test_memory_that_runs_out_in_the_closing_line_leaves_the_rest(folder, monkeypatch, capsys):
    def full(*arguments: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(summary, "build_explainer", full)
    assert fit("--summary.images", 1, steps=1, every=1) == 0
    printed = capsys.readouterr().out
    assert "no closing measurement: out of memory" in printed
    assert str(last_checkpoint(versions(folder)[0]).relative_to(folder)) in offered(printed)


def test_training_images_that_cannot_be_read_are_counted(folder, capsys):
    for name in ("x.png", "y.png"):
        (folder / f"photos/{name}").write_text("no image")
    (folder / "val").mkdir()
    picture(0).save(folder / "val/0.png")
    assert fit("--data.val", "val", "--data.batch_size", 14, steps=1, every=1) == 0
    line = "at least 2 of 14 training images cannot be read: others stood in for them\n"
    assert line in capsys.readouterr().out


def test_of_images_that_can_be_read_nothing_is_said(folder):
    data = make(folder / "photos", val_images=2)
    batches(data, 10)
    assert left_out_of_training(data) is None
    assert left_out_of_training(SimpleNamespace(train_source=None)) is None

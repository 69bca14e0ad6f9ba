"""Memory, disk and data that go away, runs that are killed: one clear line, and nothing broken."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from amortex.core.errors import InputError
from amortex.data.reading import MAX_NAMED_FAILURES, SkippingReader
from amortex.data.sources import FileSource
from amortex.explaining import results as explained
from amortex.io.files import incomplete
from amortex.training import callbacks
from amortex.training.module import AmortizedTrainingModule
from amortex.training.objective import Objective
from helpers.explaining import FAST, explain, rows
from helpers.photographs import photographs
from helpers.training import ROOT, fit, told, versions


def test_too_little_memory_halves_the_internal_batch_once(tmp_path, capsys, caplog, monkeypatch):
    photographs(tmp_path / "in", "a.png", "b.png")
    sizes: list[int] = []
    certify = explained.certify

    def scarce(rd, *arguments, **keywords):
        sizes.append(rd.internal_batch_size)
        if rd.internal_batch_size > enough:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return certify(rd, *arguments, **keywords)

    monkeypatch.setattr(explained, "certify", scarce)
    enough, run = 4, (tmp_path / "in", "--batch-size", 1, "--internal-batch-size", 8, *FAST)
    assert explain(*run, "--out", tmp_path / "out") == 0
    assert sizes == [8, 4, 4]  # the first image twice
    assert "out of memory: from now on with an internal batch size of 4" in caplog.text
    assert len(rows(tmp_path / "out")) == 2
    enough = 2
    assert explain(*run, "--out", tmp_path / "none") == 2
    assert sizes[3:] == [8, 4]
    assert capsys.readouterr().err == "explain.py: out of memory; try a smaller --internal-batch-size or --batch-size\n"


def test_too_little_memory_in_training(folder, capsys, monkeypatch):
    def exhausted(*arguments):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Objective, "__call__", exhausted)
    assert fit() == 2
    assert "out of memory" in told(capsys)


def test_a_folder_that_disappears_ends_training_with_one_line(folder, capsys, monkeypatch):
    def remove(self, *_):
        shutil.rmtree("photos", ignore_errors=True)

    monkeypatch.setattr(AmortizedTrainingModule, "on_train_batch_start", remove)
    assert fit("--data.workers", 1, steps=50, every=50) == 2  # from a worker it comes with a traceback
    assert "images can be read" in told(capsys)


def test_not_every_unreadable_image_of_thousands_is_named(tmp_path, caplog):
    photographs(tmp_path, *(f"{i}.png" for i in range(40)))
    images = SkippingReader(FileSource.below(tmp_path))
    (tmp_path / "7.png").write_bytes(b"damaged")
    images.open(images.source.paths.index(str(tmp_path / "7.png")))
    assert [record.getMessage()[:44] for record in caplog.records] == ["7.png: not a readable image, left out (Unide"]
    shutil.rmtree(tmp_path)
    with pytest.raises(InputError, match="none of 40 images can be read"):
        images.open(0)
    assert len(caplog.records) == MAX_NAMED_FAILURES + 1


def test_a_full_disk_leaves_the_checkpoint_before(folder, capsys, monkeypatch):
    write_bytes, saved = Path.write_bytes, []

    def full(path, content):
        saved.append("last.ckpt" in path.name)
        if sum(saved) == 2:
            write_bytes(path, content[:100])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert fit(steps=6, every=2) == 2
    assert "No space left on device" in told(capsys)
    checkpoints = versions(folder)[0] / "checkpoints"
    assert torch.load(checkpoints / "last.ckpt", weights_only=True)["global_step"] == 2
    assert not list(checkpoints.glob(".*"))


def test_checkpoints_replace_what_a_killed_run_left_and_execute_nothing(tmp_path):
    left, other = (incomplete(tmp_path / name) for name in ("last.ckpt", "best.ckpt"))
    left.touch()
    other.touch()
    callbacks.Checkpoints().save_checkpoint({"step": 1}, tmp_path / "last.ckpt")
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt", other.name}
    assert callbacks.Checkpoints().load_checkpoint(tmp_path / "last.ckpt") == {"step": 1}
    torch.save({"run": os.system}, tmp_path / "code.ckpt")
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        callbacks.Checkpoints().load_checkpoint(tmp_path / "code.ckpt", weights_only=False)


def test_explaining_removes_what_a_killed_run_left(tmp_path):
    out = photographs(tmp_path / "in", "x/a.png") and tmp_path / "out"
    (out / "x").mkdir(parents=True)
    incomplete(out / "x" / "a_mask.safetensors").touch()
    others = [out / ".mine.part", incomplete(out / "last.ckpt"), incomplete(out / "inner" / "a_mask.safetensors")]
    (out / "inner").mkdir()
    (out / "inner" / "settings.json").touch()  # the results of another run
    for other in others:
        other.touch()
    assert explain(tmp_path / "in", "--out", out, *FAST) == 0
    assert set(out.rglob(".*")) == set(others)


@pytest.mark.parametrize("method", ["cartoonx", "wam", "minimal_static", "minimal"])
def test_one_class_and_constant_images(tmp_path, method):
    for name, colour in (("black", 0), ("grey", 127), ("white", 255)):
        Image.new("L", (40, 40), colour).save(tmp_path / f"{name}.png")
    more = FAST if method == "cartoonx" else ("--steps", 3) if method == "minimal" else ()
    for classes in (1, 5):
        out = tmp_path / f"out{classes}"
        assert explain(tmp_path, "--out", out, "--method", method, "--num-classes", classes, *more) == 0
        assert len(rows(out)) == 3


def test_settings_of_the_trainer_that_are_wrong_get_one_line(folder, capsys):
    (folder / "binary.yaml").write_bytes(b"\xff\xfe: [")
    (folder / "null.yaml").write_text("data: {train: null}")
    (folder / "unknown.yaml").write_text("data: {colour: red}")
    (folder / "class.yaml").write_text("trainer: {callbacks: [{class_path: os.system}]}")
    for arguments, why in (
        (("--config", "binary.yaml"), "binary|UTF-8|decode"),
        (("--config", "unknown.yaml"), "colour"),
        (("--config", "class.yaml"), "os.system"),
        (("--config", "nowhere.yaml"), "does not exist"),
        (("--trainer.max_steps", "many"), "max_steps"),
        (("--trainer.val_check_interval", "-3"), "val_check_interval"),
        (("--trainer.accelerator", "abacus"), "accelerator"),
        (("--seed_everything", -1), "seed_everything must be between"),
        (("--config", "null.yaml"), "NoneType"),
    ):
        assert fit(*arguments) == 2
        line = told(capsys)
        assert any(word in line for word in why.split("|")), line
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_kills_at_random_moments():
    command = [sys.executable, "-m", "benchmarks", "kills", "--kills", "200"]
    assert subprocess.run(command, cwd=ROOT).returncode == 0

"""Memory, disk and data that go away, files that lie, names and links that trick: one clear line, nothing broken."""

import errno
import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from networks import FAST, TinyNet, explain, photographs
from PIL import Image
from test_cli import rows
from test_training import ROOT, TINY, fit, folder, versions  # noqa: F401, a fixture

from amortex import callbacks, explained, train_cli
from amortex.checkpoints import load_predictor, read
from amortex.classifiers import load_classifier
from amortex.data.sources import NAMED, Files, Readable
from amortex.objective import Objective
from amortex.training import AmortizedExplainer
from amortex.types import InputError


def told(capsys) -> str:
    """The one line that `train.py` printed."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train.py: ")]
    (line,) = (line for line in lines if "from now on" not in line)
    return line


def test_too_little_memory_halves_the_internal_batch_once(tmp_path, capsys, caplog, monkeypatch):
    photographs(tmp_path / "in", "a.png", "b.png")
    sizes: list[int] = []
    certify = explained.certify

    def scarce(rd, *arguments):
        sizes.append(rd.internal_batch_size)
        if rd.internal_batch_size > enough:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return certify(rd, *arguments)

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


def test_too_little_memory_in_training(folder, capsys, monkeypatch):  # noqa: F811
    def exhausted(*arguments):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Objective, "__call__", exhausted)
    assert fit() == 2
    assert "out of memory" in told(capsys)


def test_a_folder_that_disappears_ends_training_with_one_line(folder, capsys, monkeypatch):  # noqa: F811
    def remove(self, *_):
        shutil.rmtree("photos", ignore_errors=True)

    monkeypatch.setattr(AmortizedExplainer, "on_train_batch_start", remove)
    assert fit("--data.workers", 1, steps=50, every=50) == 2  # from a worker it comes with a traceback
    assert "images can be read" in told(capsys)


def test_not_every_unreadable_image_of_thousands_is_named(tmp_path, caplog):
    photographs(tmp_path, *(f"{i}.png" for i in range(40)))
    images = Readable(Files.below(tmp_path))
    (tmp_path / "7.png").write_bytes(b"damaged")
    images.open(images.source.paths.index(str(tmp_path / "7.png")))
    assert [record.getMessage()[:44] for record in caplog.records] == ["7.png: not a readable image, left out (Unide"]
    shutil.rmtree(tmp_path)
    with pytest.raises(InputError, match="none of 40 images can be read"):
        images.open(0)
    assert len(caplog.records) == NAMED + 1


def test_a_full_disk_leaves_the_checkpoint_before(folder, capsys, monkeypatch):  # noqa: F811
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
    left, other = tmp_path / ".last.ckpt.123.part", tmp_path / ".best.ckpt.123.part"
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
    (out / "x" / ".a_mask.safetensors.123.part").touch()
    (out / ".mine.part").touch()
    assert explain(tmp_path / "in", "--out", out, *FAST) == 0
    assert [path.name for path in out.rglob(".*")] == [".mine.part"]


@pytest.mark.parametrize("method", ["cartoonx", "wam", "minimal_static", "minimal"])
def test_one_class_and_constant_images(tmp_path, method):
    for name, colour in (("black", 0), ("grey", 127), ("white", 255)):
        Image.new("L", (40, 40), colour).save(tmp_path / f"{name}.png")
    more = FAST if method == "cartoonx" else ("--steps", 3) if method == "minimal" else ()
    for classes in (1, 5):
        out = tmp_path / f"out{classes}"
        assert explain(tmp_path, "--out", out, "--method", method, "--num-classes", classes, *more) == 0
        assert len(rows(out)) == 3


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG file that claims a size."""
    chunks = ((b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def test_files_that_lie(tmp_path, capsys):
    inputs = photographs(tmp_path / "in", "good.jpg", "first.png")
    (inputs / "garbage.jpg").write_bytes((inputs / "good.jpg").read_bytes() + b"<script>" * 1000)
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    for name in ("animation.png", "animation.webp", "pages.tiff"):
        frames[0].save(inputs / name, save_all=True, append_images=frames[1:])
    (inputs / "bomb.png").write_bytes(png(100_000, 100_000, zlib.compress(b"")))
    (inputs / "short.png").write_bytes(png(400, 400, zlib.compress(bytes(1000))))
    (inputs / "program.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    assert explain(inputs, "--out", tmp_path / "out", *FAST) == 1
    failed = {Path(row["file"]).name: row["error"] for row in rows(tmp_path / "out") if row["error"]}
    assert set(failed) == {"bomb.png", "short.png", "program.png"}
    assert "decompression bomb" in failed["bomb.png"]
    assert "cannot identify" in failed["program.png"]  # Ghostscript was not asked
    assert len(capsys.readouterr().err.splitlines()) == 4


def test_links_pipes_and_names_that_play_tricks(tmp_path, capsys):
    inputs = photographs(tmp_path / "in", "a.png", "new\nline\x1b[2J.png")
    photographs(tmp_path / "elsewhere", "b.png", "c.png")
    (inputs / "loop.png").symlink_to(inputs / "loop.png")
    (inputs / "circle").symlink_to(inputs)
    (inputs / "link.png").symlink_to(tmp_path / "elsewhere" / "b.png")  # a link to a photograph is one
    (inputs / "folder").symlink_to(tmp_path / "elsewhere")  # one to a folder is not followed
    os.mkfifo(inputs / "pipe.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a_mask.safetensors").symlink_to(tmp_path / "elsewhere" / "victim")
    for _ in range(2):
        assert explain(inputs, "--out", out, *FAST) == 1
        assert {Path(row["file"]).name: row["error"] == "" for row in rows(out)} == {
            "a.png": True, "link.png": True, "loop.png": False, "new\\nline\\x1b[2J.png": True, "pipe.png": False,
        }  # fmt: skip
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 3
        assert "\x1b" not in error
    assert not (tmp_path / "elsewhere" / "victim").exists()
    (inputs / "\x1b[2J\nbad.png").write_text("none")
    assert explain(inputs / "\x1b[2J\nbad.png", "--out", tmp_path / "bad", *FAST) == 2
    assert "\x1b" not in capsys.readouterr().err
    assert explain(inputs / "\x1b[2J\nmissing.png", "--out", tmp_path / "bad", *FAST) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture(scope="module")
def content() -> dict:
    """A checkpoint as Lightning writes it."""
    module = AmortizedExplainer("networks.TinyNet", img_size=32, mean=[0.5], std=[0.5], levels=2, width=8)
    content = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams), "global_step": 1}
    module.on_save_checkpoint(content)
    return content


CLASS = {"class_path": "subprocess.Popen", "init_args": {"args": "touch executed", "shell": True}}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"model_args": {"width": CLASS}}, "names a class"),
        ({"model_args": {"width": [CLASS]}}, "names a class"),
        ({"model_args": {"width": '{"class\\u005fpath": "subprocess.Popen"}'}}, "hides a table in text"),
        ({"model_args": str(CLASS)}, "model_args that are no table"),
        ({"_class_path": "subprocess.Popen"}, "names a class"),
        ({"encoder": "hf-hub:no/such"}, "which timm does not know"),
        ({"encoder": "local-dir:../.."}, "which timm does not know"),
        ({"classifier": "resnet18", "model_args": {"pretrained": True}}, "would load other files"),
        ({"weights": "../../etc/passwd"}, "no weight file"),
        ({"weights": "/dev/zero"}, "no weight file"),
        ({"class_names": "/dev/zero"}, "no regular file"),
        ({"width": 5000}, "larger than the weights"),
        ({"img_size": 10**6}, "beyond measure"),
        ({"levels": float("nan")}, "beyond measure"),
        ({"mean": torch.zeros(1)}, "no plain value"),
        ({"rates": [[0.0] * 200] * 200}, "beyond measure"),
        ({"rates": [[0.0] * 9000] * 9000}, "beyond measure"),
        ({"model_args": {"depth": 10**6}}, "beyond measure"),
        ({"padding": None}, "settings that are missing or wrong|padding"),
    ],
)
def test_settings_in_a_checkpoint_run_nothing_and_are_bounded(tmp_path, monkeypatch, capsys, content, changed, why):
    monkeypatch.chdir(tmp_path)
    settings = content["hyper_parameters"]
    torch.save({**content, "hyper_parameters": {**settings, **changed}}, "some.ckpt")
    with pytest.raises(InputError, match=why):
        load_predictor("some.ckpt", classifier=changed.get("classifier", "networks.TinyNet"))
    Path("config.yaml").write_text("ckpt_path: some.ckpt\n")
    common = ["predict", "--config", str(ROOT / "configs/base.yaml"), "--data.predict", "photos", *TINY]
    for argument in ("--ckpt_path=some.ckpt", "--config=config.yaml"):
        assert train_cli.main([*common, "--trainer.logger", "false", argument]) == 2
        told(capsys)
    Path("some.ckpt").rename("last")  # Lightning's own word for a checkpoint, but a file of that name comes first
    assert train_cli.main([*common, "--trainer.logger", "false", "--ckpt_path=last"]) == 2
    told(capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"last", "config.yaml"}


def test_weights_that_are_none(tmp_path, content):
    state = content["state_dict"]
    key = next(key for key, value in state.items() if key.startswith("average.module") and value.ndim > 1)
    odd = (torch.full_like(state[key], torch.nan), torch.zeros(1).expand(10**6, 10**6), state[key].to("meta"),
           state[key].to_sparse(), "text", None)  # fmt: skip
    for value in odd:
        torch.save({**content, "state_dict": {**state, key: value}}, tmp_path / "some.ckpt")
        with pytest.raises(InputError, match="no finite numbers"):
            read(tmp_path / "some.ckpt")


def test_compressed_checkpoints_and_pipes_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "good.ckpt")
    torch.save(TinyNet().state_dict(), tmp_path / "good.pth")
    for name in ("good.ckpt", "good.pth"):
        bomb = tmp_path / f"bomb{Path(name).suffix}"
        with zipfile.ZipFile(tmp_path / name) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.namelist():
                new.writestr(member, old.read(member))
            new.writestr("archive/data/999", bytes(10**7))
    bomb = (tmp_path / "bomb.ckpt").read_bytes()
    entry = bomb.index(b"PK\x01\x02")  # of the directory at the end; two bytes of it hold the version needed
    (tmp_path / "strange.ckpt").write_bytes(bomb[: entry + 6] + bytes([100, 0]) + bomb[entry + 8 :])
    os.mkfifo(tmp_path / "pipe.ckpt")
    read(tmp_path / "good.ckpt")
    for name, why in (("bomb.ckpt", "is compressed"), ("strange.ckpt", "damaged archive"),
                      ("pipe.ckpt", "no regular file")):  # fmt: skip
        with pytest.raises(InputError, match=why):
            read(tmp_path / name)
    with pytest.raises(InputError, match="is compressed"):
        load_classifier("networks.TinyNet", str(tmp_path / "bomb.pth"))


def test_settings_of_the_trainer_that_are_wrong_get_one_line(folder, capsys):  # noqa: F811
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
def test_kills_at_random_moments(tmp_path):
    script = [sys.executable, ROOT / "benchmarks" / "kills.py", "--kills", "200"]
    assert subprocess.run(script, cwd=tmp_path).returncode == 0

"""Files from strangers that lie, names and links that trick, checkpoints that would run code: refused, nothing done."""

import copy
import os
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from amortex.amortized.checkpoints import load_predictor, read
from amortex.app import train_cli
from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from helpers.explaining import FAST, explain, rows
from helpers.networks import TinyNet
from helpers.photographs import photographs
from helpers.problems import training_module
from helpers.releases import checkpoint_content
from helpers.training import ROOT, TINY, told


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
    return checkpoint_content(training_module())


def with_settings(content: dict, changes: dict) -> dict:
    """The checkpoint with other settings, each in the group that it belongs to."""
    settings = copy.deepcopy(content["hyper_parameters"])
    for name, value in changes.items():
        groups = [group for group in settings.values() if isinstance(group, dict) and name in group]
        (groups[0] if groups else settings)[name] = value
    return {**content, "hyper_parameters": settings}


CLASS = {"class_path": "subprocess.Popen", "init_args": {"args": "touch executed", "shell": True}}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"model_args": {"width": CLASS}}, "names a class"),
        ({"model_args": {"width": [CLASS]}}, "names a class"),
        ({"model_args": {"width": '{"class\\u005fpath": "subprocess.Popen"}'}}, "hides a table in text"),
        ({"model_args": str(CLASS)}, "hides a table in text"),
        ({"model_args": [3]}, "model_args that are no table"),
        ({"_class_path": "subprocess.Popen"}, "names a class"),
        ({"encoder": "hf-hub:no/such"}, "which timm does not know"),
        ({"encoder": "local-dir:../.."}, "which timm does not know"),
        ({"classifier": "resnet18", "model_args": {"pretrained": True}}, "would load other files"),
        ({"weights": "../../etc/passwd"}, "no weight file"),
        ({"weights": "/dev/zero"}, "no weight file"),
        ({"class_names": "/dev/zero"}, "no regular file"),
        ({"width": 5000}, "larger than the weights"),
        ({"input_size": 10**6}, "beyond measure"),
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
    torch.save(with_settings(content, changed), "some.ckpt")
    with pytest.raises(InputError, match=why):
        load_predictor("some.ckpt", classifier=changed.get("classifier", "helpers.networks.TinyNet"))
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
        load_classifier("helpers.networks.TinyNet", str(tmp_path / "bomb.pth"))

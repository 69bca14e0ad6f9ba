"""`explain.py` on bad input: one clear line, the right exit status, no traceback, the good files explained."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from amortex.app import explain_command
from helpers.explaining import FAST, explain, rows
from helpers.photographs import photographs


@pytest.fixture
def good(tmp_path) -> Path:
    return photographs(tmp_path / "in", "a.png", "b.png")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--method", "wam", "--lambda-k", 5), "wam has no --lambda-k; it has --rate, --samples"),
        (("--method", "minimal_static", "--steps", 5), "minimal_static has no --steps; it has --min-retention;"),
        (("--rate", 0.5), "cartoonx has no --rate"),
        (
            ("--min-retention", 0.9, "--certificate-samples", 35),
            "35 draws cannot show a retention of 0.9: --certificate-samples must be at least 36",
        ),
        (("--lambda-k", -1), "lambda_k must be a number of at least 0, not -1"),
        (("--lambda-k", "nan"), "lambda_k must be a number of at least 0, not nan"),
        (("--steps", 0), "steps and samples must be at least 1"),
        (("--samples", 0), "steps and samples must be at least 1"),
        (("--lr", "nan"), "learning rate above 0"),
        (("--method", "minimal", "--alpha", "inf"), "alpha must be"),
        (("--method", "wam", "--rate", 0), "rate must be above 0 and at most 1, not 0"),
        (("--method", "wam", "--rate", 2), "rate must be above 0 and at most 1, not 2"),
        (("--method", "wam_sg", "--samples", 0), "samples must be at least 1"),
        (("--wavelet", "db99"), "unknown wavelet 'db99'"),
        (("--wavelet", "db20", "--padding", "reflect", "--levels", 3), "is not exact for inputs of size 32x32"),
        (("--levels", 0), "--levels must be at least 1"),
        (("--levels", 40), "--levels must be at most 10"),
        (("--certificate-samples", 1), "--certificate-samples must be at least 2"),
        (("--batch-size", 0), "--batch-size must be at least 1"),
        (("--internal-batch-size", 0), "--internal-batch-size must be at least 1"),
        (("--input-size", 0), "--input-size must be at least 1"),
        (
            ("--modality", "image", "--input-size", 224, 160),
            "--input-size takes one number, or the channels, too: 3 224 160 for images",
        ),
        (("--out", ""), "the name of the folder is empty"),
        (("--num-classes", 0), "--num-classes must be at least 1"),
        (("--seed", -1), "--seed must be at least 0"),
        (("--seed", 10**70), "--seed must be at most 2147483648"),
        (("--device", "abacus"), "device 'abacus' cannot be used here"),
        (("--device", "cuda:99"), "device 'cuda:99' cannot be used here"),
        (("--device", "meta"), "device 'meta' computes nothing"),
        (("--classifier", "no_net"), "timm has no model 'no_net'"),
        (("--weights", "/nowhere.pth"), "--weights /nowhere.pth: no such file"),
        (("--model-args", "{width: 3}"), "argument --model-args: '{width: 3}' is not JSON"),
        (("--model-args", "[3]"), "argument --model-args: '[3]' is no JSON object"),
        (("--model-args", '{"depth": 3}'), "has no argument 'depth', which model_args give: did you mean width?"),
        (("--class-names", "/nowhere.txt"), "--class-names /nowhere.txt: no such file"),
        (("--mean", 0.1, 0.2), "mean or std has 2 values"),
        (("--std", 0), "std above 0"),
        (("--mean", 123.7, 116.3, 103.5, "--std", 58.4, 57.1, 57.4), "a mean of 123.7 does not fit values in [0, 1]"),
        (("--std", 58.4, "--mean", 0.5), "a std of 58.4 does not fit values in [0, 1]"),
        (("--value-range", 0, 255), "images have values in [0, 1]"),
        (("--target", 5), "class 5 does not exist"),
        (("--target", "cat"), "has no class names"),
        (("--method", "magic"), "unknown method 'magic': use one of cartoonx, "),
        (("--steps", "many"), "invalid int value"),
        (("--lambda",), "expected one argument"),
        (("--no-such",), "unrecognized arguments: --no-such"),
        (("--raet", "0.1"), "did you mean --rate?"),
    ],
)
def test_bad_options_get_one_line_and_write_nothing(good, tmp_path, capsys, options, why):
    assert explain(good, "--out", tmp_path / "out", *options) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("explain.py: ")
    assert why in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_inputs_that_are_not_there(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for path, why in (("missing.png", "no such file or folder"), ("empty", "no images in")):
        assert explain(tmp_path / path, "--out", tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert why in error
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_one_bad_file_does_not_stop_the_others(good, tmp_path, capsys):
    out = tmp_path / "out"
    (good / "aa.jpg").write_text("no image")
    assert explain(good, "--out", out, *FAST) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2
    assert error[0].startswith(f"skipped: {good / 'aa.jpg'}: not a readable image")
    assert error[0].count("aa.jpg") == 1
    assert error[1] == "1 of 3 files could not be explained"
    failed = [row for row in rows(out) if row["error"]]
    assert [row["file"] for row in failed] == [str(good / "aa.jpg")]
    assert {value for key, value in failed[0].items() if key not in ("file", "error")} == {""}
    assert explain(good, "--out", out, *FAST) == 1
    assert len(rows(out)) == 3
    photographs(good, "aa.jpg")  # mended, it is explained
    assert explain(good, "--out", out, *FAST) == 0
    assert [row["error"] for row in rows(out)] == [""] * 3


def test_only_bad_files(tmp_path, capsys):
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").write_text("no image")
    assert explain(tmp_path, "--out", tmp_path / "out", *FAST) == 2
    assert "2 of 2 files could not be explained" in capsys.readouterr().err
    assert [bool(row["error"]) for row in rows(tmp_path / "out")] == [True, True]
    photographs(tmp_path, "a.png", "b.png")  # no result binds the folder to its settings
    assert explain(tmp_path, "--out", tmp_path / "out", *FAST, "--lambda-k", 7) == 0


@pytest.mark.parametrize("method", ["cartoonx", "wam", "minimal_static"])
def test_an_image_with_an_undefined_output_does_not_stop_the_others(good, tmp_path, method):
    Image.new("RGB", (40, 40), "white").save(good / "aa.png")
    own = FAST if method == "cartoonx" else ()
    out, encoded = tmp_path / "out", tmp_path / "reference"
    assert explain(good, "--out", out, "--method", method, *own, network="NanOnWhite") == 1
    found = {Path(row["file"]).name: row for row in rows(out)}
    assert "not finite" in found["aa.png"]["error"]
    (good / "aa.png").unlink()
    assert explain(good, "--out", encoded, "--method", method, *own) == 0
    for row in rows(encoded):
        other = found[Path(row["file"]).name]
        assert (row["target"], row["retained"]) == (other["target"], other["retained"])
        assert row["distortion"] == pytest.approx(other["distortion"], abs=1e-4)


def test_a_certificate_that_is_undefined_is_no_result(good, tmp_path):
    assert explain(good, "--out", tmp_path / "out", "--method", "wam", network="NanOnNoise") == 2
    assert all("not finite" in row["error"] and row["distortion"] == "" for row in rows(tmp_path / "out"))


def test_an_output_folder_that_cannot_be_written(good, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    assert explain(good, "--out", tmp_path / "file", *FAST) == 2
    assert explain(good, "--out", tmp_path / "file" / "below", *FAST) == 2

    def locked(path, *rest, **more):
        raise PermissionError(13, "Permission denied", str(path))

    def read_only(path, *rest, **more):
        raise OSError(30, "Read-only file system", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", locked)
        assert explain(good, "--out", tmp_path / "locked", *FAST) == 2
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", locked)  # whose os.mkdir Python 3.10 holds by itself
        assert explain(good, "--out", tmp_path / "new", *FAST) == 2
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", read_only)
        assert explain(good, "--out", tmp_path / "new", *FAST) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors.pop() == (
        f"explain.py: cannot write to {tmp_path / 'new'}: Read-only file system; choose another folder (--out)"
    )
    assert len(errors) == 4
    assert [error.split(": ")[1] for error in errors[:2]] == [
        f"cannot write to {tmp_path / 'file'}",
        f"cannot write to {tmp_path / 'file' / 'below'}",
    ]
    assert all("Permission denied" in error for error in errors[2:])


def test_too_little_memory_is_told_in_one_line(good, tmp_path, capsys, monkeypatch):
    def exhausted(*arguments):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(explain_command, "explain_files", exhausted)
    assert explain(good, "--out", tmp_path / "out", *FAST) == 2
    assert capsys.readouterr().err == "explain.py: out of memory; try a smaller --internal-batch-size or --batch-size\n"

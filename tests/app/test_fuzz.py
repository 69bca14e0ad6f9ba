"""Damaged images, checkpoints, releases and settings: success or one clear line, and nothing done beside.

The normal run takes a few hundred; all of them: ``python -m pytest tests/app/test_fuzz.py -m slow``.
"""

import json
import random
import time
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import constants
from safetensors.torch import save

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.config import PredictorConfig
from amortex.amortized.explainer import Amortized
from amortex.amortized.released import CONFIG, WEIGHTS
from amortex.app import explain_cli as cli
from amortex.app import explain_command, lightning_cli, train_cli
from amortex.app.options import build_parser
from amortex.core.errors import InputError
from amortex.data.sources import decode
from amortex.io.images import Preprocess
from helpers.explaining import TINY, explain
from helpers.mutations import VALUES, Guard, damage, images, repacked, with_other_values, with_right_sums
from helpers.problems import training_module
from helpers.releases import checkpoint_content
from helpers.training import ROOT
from helpers.training import TINY as TRAIN

LONGEST = 10  # seconds of computing for one input, however busy the machine is
PIECES = 20
SIZES = {"images": 4000, "checkpoints": 750, "explain": 200, "train": 50}  # of a piece
USUAL = ("0.5", "1", "2", "7", "auto", "db2", "helpers.networks.TinyNet", "test_vit", "a.png")
guard = Guard()
CONFIGURATION = {"input_size": (3, 16, 16), "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center"}


def pieces(kind: str, few: int):
    """A few inputs normally, and many more that are marked as slow."""
    many = [pytest.param(f"{kind}{i}", SIZES[kind], marks=pytest.mark.slow) for i in range(PIECES)]
    return pytest.mark.parametrize(("seed", "count"), [(f"{kind}", few), *many])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


class InTime:
    """Fails where an input takes too long; says which one it was where it breaks."""

    def __init__(self, what: object) -> None:
        self.what = what

    def __enter__(self) -> None:
        self.start = time.process_time()

    def __exit__(self, kind, *_) -> None:
        seconds = time.process_time() - self.start
        assert seconds < LONGEST, f"{seconds:.1f} s: {self.what!r}"
        if kind is not None:
            print(f"broken by {self.what!r}"[:5000])


@pieces("images", 300)
def test_damaged_images(folder, seed, count):
    rng, files = random.Random(seed), images()
    load = Preprocess(CONFIGURATION).load
    good = 0
    with guard.within(folder):
        for i in range(count):
            content = damage(rng.choice(files), rng, files)
            if content.startswith(b"\x89PNG") and rng.random() < 0.7:
                content = with_right_sums(content)
            path = folder / f"{i % 40}.{rng.choice(('png', 'jpg', 'tiff', 'webp'))}"
            path.write_bytes(content)
            with InTime(content), suppress(InputError):
                pixels = load(path)
                assert pixels.shape == (3, 16, 16)
                assert 0 <= pixels.min() <= pixels.max() <= 1
                assert decode(str(path)).mode == "RGB"
                good += 1
        assert explain(folder, "--out", folder / "out", "--method", "wam") in (0, 1)
    rows = (folder / "out" / "summary.jsonl").read_text().splitlines()
    assert len(rows) == len([path for path in folder.iterdir() if path.is_file()])
    assert 0.05 * count < good < 0.95 * count  # the damage is neither too little nor too much


@cache
def trained() -> dict:
    """A small checkpoint, as Lightning writes it."""
    torch.manual_seed(0)
    return checkpoint_content(training_module(predictor=PredictorConfig(width=4, condition=4)), step=4)


def write_damaged(folder: Path, rng: random.Random) -> Path:
    """A checkpoint or a release with something wrong."""
    content = dict(trained())
    kind = rng.randrange(6)
    release = folder / "release"
    if kind in (0, 1, 2):
        path = folder / "some.ckpt"
        if kind == 0:
            tables = {key: content[key] for key in ("hyper_parameters", "amortex")}
            content |= with_other_values(tables, rng)
        torch.save(content, buffer := BytesIO())
        saved = buffer.getvalue()
        path.write_bytes((saved, damage(saved, rng, [saved]), repacked(saved, rng, [saved]))[kind])
        return path
    release.mkdir(exist_ok=True)
    settings = {"settings": content["hyper_parameters"], "identity": content["amortex"]}
    text = json.dumps(with_other_values(settings, rng) if kind == 3 else settings).encode()
    weights = save({key.removeprefix("average.module."): value for key, value in content["state_dict"].items()
                    if key.startswith("average.module.")})  # fmt: skip
    (release / CONFIG).write_bytes(damage(text, rng, [text]) if kind == 4 else text)
    (release / WEIGHTS).write_bytes(damage(weights, rng, [weights]) if kind == 5 else weights)
    return release


@pieces("checkpoints", 150)
def test_damaged_checkpoints_and_releases(folder, seed, count):
    rng = random.Random(seed)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    loaded = 0
    with guard.within(folder):
        for i in range(count):
            path = write_damaged(folder, rng)
            with InTime(i):
                with suppress(InputError):
                    predictor = load_predictor(path, classifier="helpers.networks.TinyNet")
                    loaded += 1
                    if loaded % 10 == 1:
                        Amortized(predictor).explain(image)
                if path.is_file() and i % 20 == 0:
                    arguments = ("--data.predict", "nowhere", "--trainer.logger", "false", "--ckpt_path", str(path))
                    assert train_cli.main(["predict", *TRAIN, *arguments]) == 2
    assert loaded < 0.7 * count


@pieces("explain", 60)
def test_random_options(folder, seed, count, monkeypatch, capsys):
    rng, accepted = random.Random(seed), 0
    monkeypatch.setattr(explain_command, "explain_files", lambda *arguments: [])
    (folder / "a.png").write_bytes(images()[0])
    left_out = ("help", "out", "device", "compile")  # the compiler keeps files of its own
    actions = [a for a in build_parser()._actions if a.option_strings and a.dest not in left_out]
    for _ in range(count):
        options: list[str] = []
        for action in rng.choices(actions, k=rng.randrange(1, 5)):
            choices = rng.choice((tuple(action.choices or USUAL), tuple(map(str, VALUES))))
            options += [action.option_strings[-1], *([] if action.nargs == 0 else [rng.choice(choices)])]
        arguments = ["a.png", *TINY, "--out", "out", "--classifier", "helpers.networks.TinyNet", *options]
        with guard.within(folder), InTime(options):
            status = cli.main(arguments)
        error = capsys.readouterr().err
        accepted += status == 0
        assert status in (0, 2)
        assert "Traceback" not in error
        assert (status == 0) == (error == ""), error
        assert error.count("\n") <= 1
    assert 0 < accepted < count


@pieces("train", 8)
def test_random_configurations(folder, seed, count, monkeypatch, capsys):
    rng = random.Random(seed)
    monkeypatch.setattr(lightning_cli.TrainCLI, "_run_subcommand", lambda self, subcommand: None)
    base = (ROOT / "configs/base.yaml").read_text()
    config = yaml.safe_load(base) | {
        "model": {
            "problem": {"classifier": "helpers.networks.TinyNet", "levels": 2, "input_size": 32},
            "predictor": {"width": 8},
        }
    }
    del config["trainer"]["logger"]
    for _ in range(count):
        text = base.encode()
        text = (
            damage(text, rng, [text]) if rng.random() < 0.3 else yaml.safe_dump(with_other_values(config, rng)).encode()
        )
        if b"devices: 2147483648" in text:  # so many are what Lightning makes a list of
            continue
        (folder / "config.yaml").write_bytes(text)
        with guard.within(folder), InTime(text):
            status = train_cli.main(["fit", "--config", "config.yaml", *TRAIN])
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train.py: ")]
        assert status in (0, 2), text
        assert len(lines) == (status == 2), text

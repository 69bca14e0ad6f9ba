"""Older files give the same explainers: settings of version 0.1 are flat, its layers have other names, and its refiner
does not see how many steps are left."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.config import PredictorConfig
from amortex.amortized.export import release
from amortex.amortized.legacy import upgrade_checkpoint, upgrade_settings, upgrade_weights
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.released import CONFIG, WEIGHTS
from amortex.core.noise_streams import NoiseStreams
from helpers.predictors import stirred
from helpers.problems import tiny_problem

CLASSIFIER = "helpers.networks.TinyNet"
OLD_NAMES = {
    "decoder": {"embed": "describe", "curve_stem": "expect", "curve_head": "refine"},
    "level": {
        "stem": "enter", "head": "leave", "norm": "calm", "depthwise": "spread", "expand": "grow", "project": "shrink",
    },
}  # fmt: skip
SEEN = "refiner.embed.0.weight"  # by columns, what the refiner sees of an input
OLD_SETTINGS = {
    "classifier": CLASSIFIER, "weights": "auto", "num_classes": None, "class_names": None, "model_args": None,
    "img_size": 32, "mean": [0.5], "std": [0.5], "wavelet": "db3", "levels": 2, "padding": "zero",
    "obfuscation": "gaussian", "distortion": "label_l2", "features": True, "encoder": None, "gradient": True,
    "width": 32, "condition": 64, "lr": 0.002, "weight_decay": 0.01, "masks": 2, "samples": 1, "monotone": 4.0,
    "first_rates": [0.3, 0.98], "rates": [0.01, 0.95], "curriculum": 0.4, "warm_up": 0, "teacher_steps": 10,
    "refine_steps": 20, "refine_only": True, "start": None, "ema": 0.995, "clip": 1.0,
    "lambda_k": [1.0, 2.5, 5.0, 10.0], "validation_samples": 4, "internal_batch_size": 64, "seed": 31,
    "_instantiator": "lightning.pytorch.cli.instantiate_module",
}  # fmt: skip


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    predictor = stirred(MaskPredictor(tiny_problem(levels=2).build(), refiner=True)).eval()
    with torch.no_grad():
        predictor.decoder.refiner.embed[0].weight[:, -1] = 0  # old ones did not see how many steps are left
    return predictor


@pytest.fixture(scope="module")
def weights(predictor):
    """The decoder's weights under their old names, in their old shapes."""
    weights = {old_name(key): value for key, value in predictor.decoder.state_dict().items()}
    return {**weights, old_name(SEEN): weights[old_name(SEEN)][:, :-1].contiguous()}


@pytest.fixture(scope="module")
def identity(predictor):
    today = predictor.rate_distortion.identity()
    for key in ("transform_dims", "activation", "value_range"):
        del today[key]
    return {**today, "transform_mode": today.pop("transform_padding")}


def old_name(key):
    *prefix, key = key.rpartition("refiner.")
    first, *rest = key.split(".")
    if first == "stages":
        rest = [OLD_NAMES["level"].get(segment, segment) for segment in rest]
    return "".join(prefix) + ".".join([OLD_NAMES["decoder"].get(first, first), *rest])


def test_old_weights_have_todays_names_and_shapes(predictor, weights):
    assert {"describe.0.weight", "expect.bias", "refine.weight", "stages.0.blocks.0.spread.weight"} <= weights.keys()
    upgraded = upgrade_weights(weights)
    today = predictor.decoder.state_dict()
    assert upgraded.keys() == today.keys()
    # today's stay as they are
    assert all(torch.equal(value, today[key]) for key, value in upgrade_weights(upgraded).items())


def test_old_settings_are_grouped_and_none_is_lost():
    settings = upgrade_settings(OLD_SETTINGS)
    groups = ("problem", "predictor", "objective", "refinement", "optimizer")
    assert settings["problem"]["input_size"] == 32
    assert settings["refinement"] == {"steps": 20, "only": True}
    grouped = [value for group in groups for value in settings[group].values()]
    assert len(grouped) + len(settings) - len(groups) == len(OLD_SETTINGS)
    assert upgrade_settings(settings) == settings


@pytest.mark.parametrize("kind", ["checkpoint", "release"])
def test_old_files_give_the_same_masks_and_are_written_in_todays_format(
    kind, predictor, weights, identity, tmp_path, images
):
    path = tmp_path / "old"
    if kind == "checkpoint":
        path = tmp_path / "old.ckpt"
        state = {f"predictor.decoder.{key}": torch.zeros_like(value) for key, value in weights.items()}
        state |= {f"average.module.{key}": value for key, value in weights.items()}
        state["average.n_averaged"] = torch.tensor(7)
        torch.save({"state_dict": state, "hyper_parameters": OLD_SETTINGS, "amortex": identity}, path)
    else:
        path.mkdir()
        save_file(weights, path / WEIGHTS)
        (path / CONFIG).write_text(json.dumps({"settings": OLD_SETTINGS, "identity": identity}))
    release(path, tmp_path / "new")
    written = json.loads((tmp_path / "new" / CONFIG).read_text())
    assert written["settings"]["problem"]["levels"] == 2
    assert written["identity"]["transform_padding"] == "zero"
    assert load_file(tmp_path / "new" / WEIGHTS).keys() == predictor.decoder.state_dict().keys()

    def masks(explainer):
        prediction = explainer(images, streams=NoiseStreams.of(images, stream="look"))
        return explainer.refine(prediction, 2.0, 2, NoiseStreams.of(images, stream="refine"))

    expected = masks(predictor)
    for file in (path, tmp_path / "new"):
        assert torch.equal(masks(load_predictor(file, CLASSIFIER)), expected)


def test_weights_without_feature_maps_go_on_without_them(tmp_path, images, identity):
    """Their classifier showed none when they were trained, and does now."""
    settings, config = upgrade_settings(OLD_SETTINGS), PredictorConfig(features=False)
    old = stirred(MaskPredictor(tiny_problem(levels=2).build(), config, refiner=True)).eval()
    assert settings["predictor"]["features"]
    save_file(old.decoder.state_dict(), tmp_path / WEIGHTS)
    (tmp_path / CONFIG).write_text(json.dumps({"settings": settings, "identity": identity}))
    loaded = load_predictor(tmp_path, CLASSIFIER)
    assert not loaded.backbone.channels
    logits = [each(images, streams=NoiseStreams.of(images, stream="look")).logits for each in (loaded, old)]
    assert torch.equal(*logits)


def test_training_goes_on_from_an_old_checkpoint(predictor, weights, identity):
    prefixes, mean = ("predictor.decoder.", "average.module."), torch.ones_like(weights[old_name(SEEN)])
    checkpoint = {
        "hyper_parameters": dict(OLD_SETTINGS), "amortex": dict(identity),
        "state_dict": {prefix + key: value for prefix in prefixes for key, value in weights.items()}
        | {"average.n_averaged": torch.tensor(3)},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0), "exp_avg": mean}, 1: {"exp_avg": mean[0]}}}],
    }  # fmt: skip
    upgrade_checkpoint(checkpoint)
    predictor.refuse_others(checkpoint["amortex"])
    today = predictor.decoder.state_dict()
    expected = {prefix + key for prefix in prefixes for key in today} | {"average.n_averaged"}
    assert checkpoint["state_dict"].keys() == expected
    assert all(torch.equal(checkpoint["state_dict"]["average.module." + key], value) for key, value in today.items())
    assert checkpoint["hyper_parameters"]["refinement"] == {"steps": 20, "only": True}
    means = checkpoint["optimizer_states"][0]["state"]
    assert means[0]["exp_avg"].shape == today[SEEN].shape
    assert means[0]["exp_avg"][:, -1].sum() == 0
    assert means[0]["step"] == 3
    assert torch.equal(means[1]["exp_avg"], mean[0])
    before = dict(checkpoint["state_dict"])
    upgrade_checkpoint(checkpoint)  # today's stay as they are
    assert checkpoint["state_dict"].keys() == before.keys()

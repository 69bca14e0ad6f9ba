"""Trained explainers from files: checkpoints of a run, and releases."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from amortex.amortized.build import build_predictor
from amortex.amortized.config import PredictorConfig
from amortex.amortized.legacy import (
    hide_unseen_features,
    upgrade_identity,
    upgrade_settings,
    upgrade_weights,
)
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.released import CONFIG, OTHERS, WEIGHTS
from amortex.classifiers.bundled import BUNDLED
from amortex.classifiers.classifier import Classifier
from amortex.core.errors import InputError
from amortex.io.untrusted import refuse_bomb, refuse_objects, refuse_tensors
from amortex.rate_distortion.problem import Problem

BASE = "explainer"  # in their metadata: the digest of the weights that they belong to, and
UNROLLED = " unrolled"  # behind it, if they were trained so; safetensors writes several keys in random order
LOADING = {"checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"}  # timm's
AVERAGE = "average.module."  # prefix of the running mean of the weights in a checkpoint


def load_predictor(path: str | Path, classifier: str | Classifier | None = None, **overrides: Any) -> MaskPredictor:
    """The trained predictor of a checkpoint (``.ckpt``) or a release (a folder), with its classifier.

    Arguments:
        path: checkpoint file or release folder. Nothing in it is executed.
        classifier: one that is loaded already; or the class path that the file names, which says that it is trusted.
        **overrides: other fields of its `Problem`, such as ``weights`` where the classifier's weight file has moved.

    Raises:
        InputError: the file is missing, broken or no explainer, or belongs to another classifier or transform.
    """
    settings, identity, weights = read(Path(path))
    loaded = classifier if isinstance(classifier, Classifier) else None
    if isinstance(classifier, str):
        overrides["classifier"] = classifier
    refuse_code(settings, overrides.get("classifier", getattr(loaded, "name", None)), path)
    try:
        problem = Problem.of({**settings["problem"], **as_trained(identity), **overrides})
        config = PredictorConfig.of(settings["predictor"])
        predictor = build_predictor(problem, config, settings["refinement"], loaded)
        predictor.lambda_range = _lambda_range(settings)
    except InputError:
        raise
    except Exception as error:  # settings of any kind break a network's constructor with any type of error
        raise InputError(f"{path} has settings that are missing or wrong ({error}): it is damaged") from error
    predictor.refuse_others(identity)
    others = read_others(Path(path), weights)
    try:
        predictor.decoder.load_state_dict(weights)
        if others is not None:
            refinement = {**settings["refinement"], "other_targets": 1.0, "unrolled": others.unrolled}
            predictor.others = build_predictor(problem, config, refinement, predictor.rate_distortion.classifier)
            predictor.others.decoder.load_state_dict({**weights, **others.weights})
    except RuntimeError as error:
        here, trained = predictor.rate_distortion.classifier.input_size, identity.get("classifier_input_size", [])
        if list(here) == list(trained):
            raise InputError(f"the weights in {path} do not fit its settings: the file is damaged") from error
        step = 2**predictor.decoder.levels  # such sizes have feature maps of the same strides
        before, now = ("x".join(map(str, size[1:])) for size in (trained, here))
        raise InputError(
            f"{path} was trained on inputs of {before}, and cannot explain those of {now}: give an input size that is "
            f"a multiple of {step}, or none"
        ) from error
    if predictor.others is not None:
        predictor.others.eval()
    return predictor.eval()


class Others(NamedTuple):
    """What a release has for other classes than the predicted ones."""

    weights: dict[str, torch.Tensor]  # instead of some of the explainer's
    unrolled: bool  # whether their refiner was trained through its steps

    def metadata(self, base: bytes) -> dict[str, str]:
        """Of their file, beside a file of weights with the content `base`."""
        return {BASE: file_digest(base) + UNROLLED * self.unrolled}


def read_others(path: Path, weights: dict[str, torch.Tensor]) -> Others | None:
    """What a release has instead of some of its `weights` for other classes than the predicted ones, if anything.

    Raises:
        InputError: the file is damaged, or belongs to other weights.
    """
    file = path / OTHERS
    if not file.is_file():
        return None
    refuse_bomb(file)
    try:
        with safe_open(file, "pt") as opened:
            belongs_to = (opened.metadata() or {}).get(BASE, "")
            others = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118, it is no dictionary
    except Exception as error:  # a damaged header raises errors of many types
        raise InputError(f"cannot read {file}: it is damaged") from error
    refuse_tensors(others, file)
    others = upgrade_weights(others)
    digest = file_digest((path / WEIGHTS).read_bytes())
    if belongs_to.removesuffix(UNROLLED) != digest or not others.keys() <= weights.keys():
        raise InputError(f"{file} belongs to another explainer than {path / WEIGHTS}: export both again")
    return Others(others, belongs_to.endswith(UNROLLED))


def file_digest(content: bytes) -> str:
    """What `others.safetensors` knows the weights by that it belongs to."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _lambda_range(settings: dict[str, Any]) -> tuple[float, float] | None:
    """The interval of the sparsity weights that were drawn and validated in training."""
    validated, margin = settings.get("lambda_k"), settings["refinement"].get("lambda_margin", 1.0)
    return (min(validated) / margin, max(validated) * margin) if validated else None


def as_trained(identity: dict[str, Any]) -> dict[str, Any]:
    """The activation of a file's identity, as a setting: its own settings may leave the choice to the network."""
    return {"activation": identity["activation"]} if "activation" in identity else {}


def refuse_code(settings: dict[str, Any], named: str | None, path: str | Path) -> None:
    """A file may name a bundled network or one of timm's; a class path, which runs code, only the user may name.

    Raises:
        InputError: the file names a class path that is not `named` by the user, or arguments that make timm load files.
    """
    problem, predictor = settings["problem"], settings["predictor"]
    loading = LOADING & set(problem.get("model_args") or {})
    if loading:
        raise InputError(f"{path} asks for {', '.join(sorted(loading))}, which would load other files: it is refused")
    encoder, name = str(predictor.get("encoder")), str(problem.get("classifier"))
    if not (encoder == "None" or timm.is_model(encoder.split(".")[0])):
        raise InputError(f"{path} names the encoder {encoder!r}, which timm does not know: it is refused")
    if not (name in BUNDLED or timm.is_model(name.split(".")[0]) or name == named):
        raise InputError(
            f"{path} names the classifier {name!r}, which is more than a network of timm's: if you trust it, give it, "
            "too, as the classifier"
        )


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, torch.Tensor]]:
    """Settings, identity and the decoder's weights of a checkpoint or release."""
    if not path.exists():
        raise InputError(f"no explainer at {path}: give a checkpoint (.ckpt) or a release folder")
    try:
        if path.is_dir():
            refuse_bomb(path / CONFIG)
            refuse_bomb(path / WEIGHTS)
            content = json.loads((path / CONFIG).read_text(encoding="utf-8"))
            weights = load_file(path / WEIGHTS)
        else:
            refuse_bomb(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (InputError, OSError) as error:
        raise InputError(f"cannot read an explainer from {path}: {error}") from error
    except Exception as error:  # unpickling refuses code and damage with many exception types, and obscure words
        raise InputError(
            f"cannot read an explainer from {path}: it is none, is damaged, or holds more than plain values; give a "
            "checkpoint (last.ckpt of a run) or a folder that train.py export wrote"
        ) from error
    try:
        if not isinstance(content, dict):
            raise TypeError("a table of settings")
        if path.is_dir():
            settings, identity = content["settings"], content["identity"]
        else:
            state = content["state_dict"]
            weights = {key.removeprefix(AVERAGE): value for key, value in state.items() if key.startswith(AVERAGE)}
            settings, identity = content["hyper_parameters"], content["amortex"]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no amortex explainer: it lacks {error}") from error
    for table in (settings, identity):
        refuse_objects(table, path)
    refuse_tensors(weights, path)
    settings, identity, weights = upgrade_settings(settings), upgrade_identity(identity), upgrade_weights(weights)
    if not all(isinstance(settings.get(group), dict) for group in ("problem", "predictor", "refinement")):
        raise InputError(f"{path} is no amortex explainer: it lacks groups of settings")
    hide_unseen_features(settings, weights)
    largest = max((size for value in weights.values() for size in value.shape), default=0)
    sizes = [settings["predictor"].get(key) for key in ("width", "condition")]
    if any(isinstance(size, int) and size > largest for size in sizes):
        raise InputError(f"{path} has settings of a network larger than the weights: it is damaged")
    return settings, identity, weights

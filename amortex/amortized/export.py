"""Releases: a trained explainer as safetensors and JSON, small enough to ship, readable without executing code."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from amortex.amortized.budget import masks_of_rate
from amortex.amortized.checkpoints import Others, read, read_others
from amortex.amortized.config import PATH_WEIGHTS, RefinementSchedule
from amortex.amortized.evidence import GradientProbe, observe
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.released import CONFIG, OTHERS, WEIGHTS
from amortex.core.errors import InputError, first_line
from amortex.core.noise_streams import NoiseStreams
from amortex.explainers.base import Explanation, picture
from amortex.io.files import write_atomically

ONNX = "explainer.onnx"


def release(checkpoint: Path, folder: Path, others: Path | None = None, any_size: bool = False) -> None:
    """Write the averaged weights of a checkpoint (or a release again) into a release folder.

    Arguments:
        checkpoint: a run's checkpoint.
        folder: where the release goes.
        others: a checkpoint that explains classes other than the predicted one, or a release with weights for these;
            what differs is written. By default what a release has for them.
        any_size: leave the size of inputs to the classifier, instead of that of training.

    Raises:
        InputError: a checkpoint is missing, broken or no explainer, or `others` is of another predictor, or has learned
            nothing of other classes.
    """
    settings, identity, weights = read(checkpoint)
    differences = read_others(checkpoint, weights) if others is None else _differences(weights, identity, others)
    if any_size:
        settings = {**settings, "problem": {**settings["problem"], "input_size": None}}
    folder.mkdir(parents=True, exist_ok=True)
    for file in (ONNX, OTHERS):
        (folder / file).unlink(missing_ok=True)  # of other weights
    content = save({key: value.contiguous() for key, value in weights.items()})
    write_atomically(folder / WEIGHTS, content)
    # where training started from is a file of that machine
    config: dict[str, Any] = {"settings": {**settings, "start": None}, "identity": identity}
    write_atomically(folder / CONFIG, json.dumps(config, indent=2).encode())
    if differences is not None:  # last, so that they never lie beside weights of before
        write_atomically(folder / OTHERS, save(differences.weights, differences.metadata(content)))


def _differences(weights: dict[str, Tensor], identity: dict[str, Any], others: Path) -> Others:
    """The weights of `others` that are not those of a release."""
    settings, its_identity, its_weights = read(others)
    schedule, apart = RefinementSchedule.trained_by(settings["refinement"]), read_others(others, its_weights)
    if apart is None and not schedule.any_target:
        raise InputError(f"{others} was trained for predicted classes alone: train it with refinement.other_targets")
    its_weights |= {} if apart is None else apart.weights
    its_weights = {  # paths are for predicted classes alone
        **{key: value for key, value in its_weights.items() if not key.startswith(PATH_WEIGHTS)},
        **{key: value for key, value in weights.items() if key.startswith(PATH_WEIGHTS)},
    }
    shapes, its_shapes = ({key: value.shape for key, value in each.items()} for each in (weights, its_weights))
    if shapes != its_shapes or {**identity, "classifier_input_size": None} != {
        **its_identity, "classifier_input_size": None
    }:  # fmt: skip
        raise InputError(f"{others} is of another predictor, or of another classifier or transform")
    changed = {key: value.contiguous() for key, value in its_weights.items() if not torch.equal(value, weights[key])}
    return Others(changed, schedule.unrolled if apart is None else apart.unrolled)


def push(folder: Path, repository: str) -> None:
    """Upload a release folder to a repository of the Hugging Face hub, which is made unless it is there.

    Raises:
        InputError: the hub cannot be reached, or refuses.
    """
    import huggingface_hub  # comes with timm

    try:
        api = huggingface_hub.HfApi()
        api.create_repo(repository, exist_ok=True)
        files, optional = [WEIGHTS, OTHERS, CONFIG, ONNX], [OTHERS, ONNX]  # those of before belong to other weights
        api.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=files, delete_patterns=optional)
    except Exception as error:  # the hub's library raises its own, HTTP's and the network's errors
        why = first_line(error)[:150]
        raise InputError(f"cannot upload to {repository}: {why}; log in with `hf auth login`") from error


class Graph(nn.Module):
    """What the ONNX file computes: image and rate -> class probabilities, mask and explanation picture.

    A graph cannot hold a gradient. Explainers that probe one get the first three fields of its `GradientProbe` as
    further inputs. Learned refinement is not part of the graph.
    """

    def __init__(self, predictor: MaskPredictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(
        self, image: Tensor, rate: Tensor, damage: Tensor | None = None, effect: Tensor | None = None,
        log_probability: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """``(B, C, *size)``, ``(B,)`` and a `GradientProbe` -> ``(B, M)``, ``(B, k)``, ``(B, 1, *size)``."""
        rd = self.predictor.rate_distortion
        evidence = observe(rd, self.predictor.backbone, image)
        if damage is not None and effect is not None and log_probability is not None:
            evidence = evidence._replace(probe=GradientProbe(damage, effect, log_probability))
        logits, *_ = self.predictor.decoder(evidence)
        mask = masks_of_rate(logits, rate, live=evidence.encoded.live)
        return evidence.encoded.probabilities, mask, picture(rd, Explanation(evidence.encoded, mask, mask))


def check_onnx() -> None:
    """Raises InputError if onnx, onnxscript or onnxruntime is missing."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401, what torch exports with
    except ImportError as error:
        raise InputError(f"{error.name} is missing: pip install 'amortex[onnx]'") from error


def export_onnx(predictor: MaskPredictor, file: Path) -> None:
    """Write the `Graph` of a predictor for any batch size, and check it against onnxruntime.

    Raises:
        InputError: as `check_onnx`; the file does not compute what the predictor does.
    """
    check_onnx()
    import onnxruntime

    predictor = predictor.cpu().eval()
    image = torch.rand(2, *predictor.rate_distortion.classifier.input_size, generator=torch.Generator().manual_seed(0))
    names = ["image", "rate", *(GradientProbe._fields[:3] if predictor.gradient else ())]
    outputs = ["probabilities", "mask", "picture"]
    graph = Graph(predictor).eval()
    with torch.no_grad():
        inputs = _inputs(predictor, image)
        graph(*inputs)  # fills caches that tracing cannot
        batch = torch.export.Dim("batch", min=1)
        program = torch.onnx.export(graph, inputs, input_names=names, output_names=outputs, dynamo=True,
                                    dynamic_shapes=[{0: batch} for _ in inputs], verbose=False)  # fmt: skip
        assert program is not None
        content = program.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        for count in (1, 3):
            inputs = _inputs(predictor, torch.cat([image[:1]] * count))
            results = session.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)})
            for name, expected, actual in zip(outputs, graph(*inputs), results, strict=True):
                if not torch.allclose(expected, torch.from_numpy(actual), rtol=0, atol=1e-3):
                    raise InputError(f"onnxruntime computes another {name} than torch: the file was not written")
    write_atomically(file, content)


def _inputs(predictor: MaskPredictor, image: Tensor) -> tuple[Tensor, ...]:
    rate = torch.full((len(image),), 0.05)
    if not predictor.gradient:
        return image, rate
    evidence = observe(
        predictor.rate_distortion, predictor.backbone, image, streams=NoiseStreams.of(image, stream="look")
    )
    assert evidence.probe is not None
    return image, rate, *evidence.probe[:3]

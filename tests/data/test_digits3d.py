"""3-D digits: a function of their index, no drawing in both splits, solid bodies that are turned."""

import sys

import numpy as np
import pytest
import torch

from amortex.core.errors import InputError
from amortex.data.digits3d import HALF_DEPTH, Digits3D, _drawings, extrude


def test_volumes_are_a_function_of_seed_and_index():
    source = Digits3D()
    assert torch.equal(source.open(5), Digits3D().open(5))
    other_pose = 5 + len(source) // source.poses
    assert source.label(5) == source.label(other_pose)
    assert source.name(other_pose) == f"{source.name(5)}#1"
    assert not torch.equal(source.open(5), source.open(other_pose))
    assert not torch.equal(source.open(5), Digits3D(seed=1).open(5))
    volume = source.open(5)
    assert volume.shape == (1, 16, 16, 16)
    assert volume.dtype == torch.float32
    assert volume.min() == 0
    assert 0.5 < volume.max() <= 1


def test_no_drawing_is_in_both_splits():
    train, validation = Digits3D("train"), Digits3D("validation")
    assert sorted([*train.sources, *validation.sources]) == list(range(1797))
    assert len(validation) == 359
    assert sorted(set(validation.labels)) == list(range(10))
    with pytest.raises(InputError, match="not 'test'"):
        Digits3D("test")


def test_bodies_are_extruded_and_turned():
    drawing = np.zeros((8, 8))
    drawing[3:5] = 1  # a bar along the columns
    still = extrude(drawing, np.zeros(3), np.zeros(3))
    layers = np.flatnonzero(still.sum((1, 2)) > 0)
    assert len(layers) == 2 * HALF_DEPTH
    assert still.max() == 1
    assert np.allclose(still[layers[0]], still[layers[-1]])
    assert np.allclose(still, still[:, ::-1], atol=1e-6)  # about the middle
    quarter = extrude(drawing, np.array([0, 0, 90.0]), np.zeros(3))
    assert np.allclose(quarter, still.transpose(0, 2, 1), atol=1e-6)
    about_columns = extrude(drawing, np.array([90.0, 0, 0]), np.zeros(3))
    assert np.allclose(about_columns, still.transpose(1, 0, 2), atol=1e-6)  # depth and rows change places
    moved = extrude(drawing, np.zeros(3), np.array([1.0, 0, 0]))
    assert np.allclose(moved[1:], still[:-1], atol=1e-6)


def test_without_scikit_learn_one_line_says_what_to_install(monkeypatch):
    _drawings.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match="pip install scikit-learn"):
        Digits3D()

"""Layouts: the flat and the banded view of a mask, for signals of any number of axes."""

import pytest
import torch

from amortex.core.layout import Band, Coefficients, Layout


def layout_of(*shapes: tuple[int, ...]) -> Layout:
    """A layout of bands of these shapes, without scales."""
    bands = tuple(Band(f"band{index}", shape) for index, shape in enumerate(shapes))
    k = sum(int(torch.tensor(shape).prod()) for shape in shapes)
    zeros = torch.zeros(k, dtype=torch.long)
    return Layout(bands, shapes[0], ("all",), group=zeros, level=zeros, orientation=zeros - 1)


@pytest.mark.parametrize("shapes", [((4,), (1, 8)), ((2, 3), (3, 4, 5)), ((2, 2, 2), (7, 3, 4, 5))])
def test_split_and_join_are_inverse_whatever_the_axes(shapes):
    layout = layout_of(*shapes)
    flat = torch.arange(2 * layout.k).float().reshape(2, layout.k)
    parts = layout.split(flat)
    assert [part.shape[1:] for part in parts] == list(shapes)
    assert torch.equal(layout.join(parts), flat)
    coefficients = Coefficients(tuple(part[:, None] for part in parts), layout)
    assert torch.equal(coefficients.flat[:, 0], flat)
    doubled = coefficients.map(torch.mul, layout.split(flat[:, None]))
    assert torch.equal(doubled.flat[:, 0], flat.square())


def test_membership_has_one_group_per_entry():
    layout = layout_of((2, 3))
    assert torch.equal(layout.membership, torch.ones(6, 1))

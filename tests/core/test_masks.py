"""Orderings, ties, ranks and exact shares."""

import pytest
import torch

from amortex.core.masks import energy, order, ranks, top_share
from amortex.transforms.fourier import Fourier
from amortex.transforms.wavelet import Wavelet


def test_energy_is_summed_over_channels(images64):
    coefficients = Wavelet("db3", 2)(images64)
    expected = sum(coefficients.flat[:, channel] ** 2 for channel in range(3))
    torch.testing.assert_close(energy(coefficients), expected)
    spectrum = Fourier()(images64)
    expected = (spectrum.flat.real**2 + spectrum.flat.imag**2).sum(1)
    torch.testing.assert_close(energy(spectrum), expected)


def test_order_is_by_relevance_then_by_tie_break_then_by_place():
    relevance = torch.tensor([[1.0, 0.0, 1.0, 0.5, 1.0, 0.0]])
    tie_break = torch.tensor([[2.0, 7.0, 9.0, 1.0, 2.0, 8.0]])
    assert order(relevance, tie_break).tolist() == [[2, 0, 4, 3, 5, 1]]
    assert order(relevance).tolist() == [[0, 2, 4, 3, 1, 5]]


def test_order_of_many_ties_equals_sorting_pairs():
    generator = torch.Generator().manual_seed(0)
    relevance = torch.randint(0, 3, (4, 50), generator=generator).float()
    tie_break = torch.randint(0, 5, (4, 50), generator=generator).float()
    for row, (first, second) in enumerate(zip(relevance.tolist(), tie_break.tolist(), strict=True)):
        expected = sorted(range(50), key=lambda i: (-first[i], -second[i], i))
        assert order(relevance, tie_break)[row].tolist() == expected


def test_ranks_are_evenly_spaced_and_ordered_like_the_relevance():
    relevance = torch.tensor([[0.3, -1.0, 20.0, 0.4], [1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    assert ranks(relevance).tolist() == [[0.5, 0.25, 1.0, 0.75], [0.25, 0.5, 0.75, 1.0]]
    live = torch.tensor([[True, True, False, False], [True, True, True, True]])
    assert ranks(relevance, live).tolist() == [[1.0, 0.5, 0.0, 0.0], [0.25, 0.5, 0.75, 1.0]]


@pytest.mark.parametrize("rate", [0.0, 0.005, 0.01, 0.05, 0.3, 0.999, 1.0])
def test_top_share_keeps_an_exact_number_even_among_ties(rate):
    relevance = torch.zeros(3, 997)
    relevance[1, 10:20] = 1
    relevance[2] = torch.rand(997, generator=torch.Generator().manual_seed(0))
    mask = top_share(relevance, rate)
    assert mask.sum(1).tolist() == [round(rate * 997)] * 3
    assert set(mask.unique().tolist()) <= {0.0, 1.0}


def test_top_share_keeps_the_most_relevant_and_of_equals_the_loudest():
    relevance = torch.tensor([[0.0, 1.0, 1.0, 0.5, 1.0]])
    loudness = torch.tensor([[9.0, 1.0, 3.0, 9.0, 2.0]])
    assert top_share(relevance, 0.4, loudness).tolist() == [[0, 0, 1, 0, 1]]
    assert top_share(relevance, 0.8, loudness).tolist() == [[0, 1, 1, 1, 1]]

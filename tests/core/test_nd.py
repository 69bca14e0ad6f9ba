"""What torch names by the number of axes, under one name for all."""

import pytest
import torch

from amortex.core.nd import channels_last, local_mean, resize, spatial_max

SIZES = {1: (9,), 2: (9, 7), 3: (5, 7, 6)}


@pytest.mark.parametrize("dims", SIZES)
def test_channels_go_last_where_torch_has_a_format_for_that(dims):
    x = torch.rand(2, 3, *SIZES[dims])
    assert torch.equal(channels_last(x), x)
    assert (channels_last(x).stride(1) == 1) == (dims > 1)


@pytest.mark.parametrize("dims", SIZES)
def test_local_means_leave_out_what_is_beyond_the_border(dims):
    x = torch.rand(2, 3, *SIZES[dims])
    mean = local_mean(x, 3, dims)
    torch.testing.assert_close(mean[(..., *[1] * dims)], x[(..., *[slice(0, 3)] * dims)].flatten(2).mean(2))
    torch.testing.assert_close(mean[(..., *[0] * dims)], x[(..., *[slice(0, 2)] * dims)].flatten(2).mean(2))
    small = x[(..., *[slice(0, 2)] * dims)]  # shorter than the neighbourhood
    expected = small.flatten(2).mean(2)[(..., *[None] * dims)].expand_as(small)
    torch.testing.assert_close(local_mean(small, 5, dims), expected)


@pytest.mark.parametrize("dims", SIZES)
def test_resizing_is_linear_and_does_not_alias(dims):
    size = (16,) * dims
    ramp = torch.arange(16.0).expand(1, 1, *size)
    assert resize(ramp, (32,) * dims).diff(dim=-1).min() >= 0
    checkers = (torch.stack(torch.meshgrid(*[torch.arange(n) for n in size], indexing="ij")).sum(0) % 2).float()
    halved = resize(checkers.expand(1, 1, *size), (8,) * dims)
    torch.testing.assert_close(halved, torch.full_like(halved, 0.5), rtol=0, atol=0.05)


@pytest.mark.parametrize("channels", [3, 8, 15, 16, 40])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("innermost", [True, False])
def test_largest_values_are_those_over_all_positions(channels, dims, innermost):
    x = torch.randn(2, channels, *(7, 5, 4)[:dims], generator=torch.Generator().manual_seed(0))
    x = channels_last(x) if innermost else x
    assert torch.equal(spatial_max(x), x.flatten(2).max(2).values)

"""What every transform offers, in any number of dimensions."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from amortex.core.layout import Coefficients, Layout


class Transform(nn.Module, ABC):
    """An invertible transform ``T`` of images (or signals, or volumes) ``(B, C, *size)``.

    Subclasses implement `layout`, `forward` and `inverse`; nothing here depends on the number of spatial
    dimensions. ``inverse(forward(x)) == x`` up to rounding, and gradients of both are exact. One that is not `linear`
    says so, and may have its own idea of noise, see `adapt` and `shape_noise`.
    """

    linear = True

    @property
    def name(self) -> str:
        """Its name in `amortex.transforms.TRANSFORMS`, and in outputs."""
        return type(self).__name__.lower()

    @abstractmethod
    def layout(self, size: tuple[int, ...], device: torch.device | None = None) -> Layout:
        """Layout of the coefficients of images of spatial `size`, its index tensors on `device`."""

    @abstractmethod
    def forward(self, x: Tensor) -> Coefficients:
        """``(B, C, *size)`` -> coefficients."""

    @abstractmethod
    def inverse(self, coefficients: Coefficients) -> Tensor:
        """Coefficients -> ``(B, C, *size)``."""

    @abstractmethod
    def spatial_map(self, relevance: Tensor, coefficients: Coefficients) -> Tensor:
        """Relevance ``(B, k)`` of `coefficients` as a map over the image, ``(B, *size)``, non-negative."""

    def level_maps(self, relevance: Tensor, coefficients: Coefficients) -> Tensor:
        """The `spatial_map` of each level, ``(B, levels + 1, *size)``: low-pass, then level 1 (finest) to J (WAM).

        Wavelet maps sum to the whole one.
        """
        level = coefficients.layout.level
        maps = [
            self.spatial_map(torch.where(level == index, relevance, 0), coefficients)
            for index in range(int(level.max()) + 1)
        ]
        return torch.stack(maps, 1)

    def reaches(self, region: Tensor) -> Tensor:
        """Which entries see any of a region, ``(B, 1, *size)`` bool -> ``(B, k)`` bool; by default all do.

        The coefficients of all others are exactly zero where a signal is zero outside of the region.
        """
        layout = self.layout(tuple(region.shape[2:]), region.device)
        return torch.ones(len(region), layout.k, dtype=torch.bool, device=region.device)

    def pullback(self, gradient: Tensor, coefficients: Coefficients) -> Coefficients:
        """Gradient with respect to the image ``(B, C, *size)`` -> gradient with respect to `coefficients`.

        If the inverse is linear, its adjoint does not depend on where it is taken; attributions that
        average gradients (WAM) average in the image domain and pull back once.
        """
        leaves = coefficients.map(lambda band: band.detach().clone().requires_grad_())
        with torch.enable_grad():
            image = self.inverse(leaves)
        return Coefficients(torch.autograd.grad(image, leaves.bands, gradient), coefficients.layout)

    def adapt(self, location: Tensor, scale: Tensor | None, coefficients: Coefficients) -> tuple[Tensor, Tensor | None]:
        """The replacement of `coefficients` that masks interpolate to, from that of an obfuscation.

        Location and scale are flat, ``(B, C or 1, k)``; without a scale the replacement is not random.
        """
        return location, scale

    def shape_noise(
        self, noise: tuple[Tensor, ...], layout: Layout, to_uniform: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, ...]:
        """The unit noise of each band, ``(B, L, C, *positions)``; `to_uniform` makes it uniform in [-1, 1]."""
        return noise

    def settings(self) -> dict[str, str | int]:
        """The constructor arguments as plain values, as written into outputs and checkpoints."""
        return {"name": type(self).__name__}

    def __repr__(self) -> str:
        arguments = (f"{key}={value!r}" for key, value in self.settings().items() if key != "name")
        return f"{type(self).__name__}({', '.join(arguments)})"

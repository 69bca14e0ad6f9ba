"""The mask predictor: an image -> masks of any rate, and the rate that a sparsity weight asks for."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.amortized.backbone import Backbone
from amortex.amortized.budget import masks_of_rate
from amortex.amortized.config import PredictorConfig
from amortex.amortized.decoder import Decoder
from amortex.amortized.encoder import Encoder
from amortex.amortized.evidence import Evidence, observe, probe
from amortex.amortized.refiner import (
    FIRST_LAMBDA,
    INITIAL_LAMBDA_SCALE,
    LARGEST_INITIAL_LAMBDA_SCALE,
    Hidden,
    begin,
    lambda_t,
)
from amortex.core.errors import InputError
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet

RATES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.5, 0.8)  # where the curve has its corners
INITIAL_RATE_FACTOR = 1.5  # learned refinement begins with masks of more than the rate that is expected to be best
AVERAGED_TAIL = 8  # the share of the steps whose masks are averaged, as a divisor
CHOICES = 64  # rates that compete for a lambda_k, evenly spaced on a log scale


class Prediction(NamedTuple):
    """Masks of every rate for a batch of images, from one pass."""

    evidence: Evidence
    logits: Tensor  # (B, k): an ordering of the entries, and how sharply the mask distinguishes them
    curve: Tensor  # (B, len(RATES)): predicted distortion at RATES, falling
    hidden: Hidden

    @property
    def encoded(self) -> EncodedBatch:
        return self.evidence.encoded

    def mask(self, rate: float | Tensor) -> Tensor:
        """Masks ``(B, k)`` of mean `rate`, a number or one per image ``(B,)``."""
        rate = torch.as_tensor(rate, device=self.logits.device, dtype=torch.float32)
        return masks_of_rate(self.logits, rate.expand(len(self.logits)))

    def distortion(self, rate: Tensor) -> Tensor:
        """Predicted distortion at rates ``(B, R)``: linear in the logarithm of the rate between corners."""
        corners = torch.tensor((*RATES, 1.0), device=rate.device).log()
        values = F.pad(self.curve, (0, 1))  # the full mask has no distortion
        x = rate.clamp(RATES[0], 1.0).log()
        right = torch.searchsorted(corners, x.detach().contiguous()).clamp(1, len(RATES))
        share = (x - corners[right - 1]) / (corners[right] - corners[right - 1])
        return torch.lerp(values.gather(1, right - 1), values.gather(1, right), share)

    def rate_for(self, lambda_k: float | Tensor) -> Tensor:
        """The rate ``(B,)`` of lowest predicted ``D + lambda_k * R``."""
        rates = torch.logspace(torch.tensor(RATES[0]).log10().item(), 0, CHOICES, device=self.logits.device)
        rates = rates.expand(len(self.logits), -1)
        lambda_t = torch.as_tensor(lambda_k, device=self.logits.device, dtype=torch.float32).reshape(-1, 1)
        best = (self.distortion(rates) + lambda_t * rates).argmin(1, keepdim=True)
        return rates.gather(1, best)[:, 0]


class MaskPredictor(nn.Module):
    """Predicts wavelet masks from what a frozen classifier computes anyway.

    Arguments:
        rate_distortion: classifier and wavelet transform.
        config: how it is built.
        refiner: whether to learn refinement, too.

    Raises:
        InputError: the transform is no wavelet transform of images; the encoder is unknown or has batch normalisation.
    """

    def __init__(
        self, rate_distortion: RateDistortion, config: PredictorConfig | None = None, refiner: bool = False
    ) -> None:
        super().__init__()
        self.config = config = config or PredictorConfig()
        transform, classifier = rate_distortion.transform, rate_distortion.classifier
        if not isinstance(transform, Wavelet):
            raise InputError(f"the mask predictor works on wavelet coefficients, not on {type(transform).__name__}")
        self.rate_distortion, self.gradient = rate_distortion, config.gradient
        self.backbone = Backbone(classifier, config.features)
        encoder = None if config.encoder is None else Encoder(config.encoder, classifier)
        maps = self.backbone if encoder is None else encoder
        self.decoder = Decoder(
            transform.levels, maps.channels, maps.strides, self.backbone.head_size, config.gradient, config.width,
            config.condition, len(RATES), encoder, refiner,
        )  # fmt: skip

    def forward(
        self,
        image: Tensor,
        target: Tensor | None = None,
        streams: NoiseStreams | None = None,
        decoder: nn.Module | None = None,
    ) -> Prediction:
        """Predict for images ``(B, C, H, W)`` in [0, 1] and classes `target` ``(B,)``, by default the predicted ones.

        `streams` makes the noise of the look at the gradient; another `decoder` (averaged weights) can stand in.
        """
        if self.gradient and streams is None:
            streams = NoiseStreams.of(image, stream="look")
        evidence = observe(self.rate_distortion, self.backbone, image, target, streams if self.gradient else None)
        logits, raw, hidden = (decoder or self.decoder)(evidence)
        falling = F.softplus(raw.float()).flip(1).cumsum(1).flip(1)
        return Prediction(evidence, logits, falling, hidden)

    @torch.no_grad()
    def refine(
        self,
        prediction: Prediction,
        lambda_k: float | Tensor,
        steps: int,
        streams: NoiseStreams,
        mask: Tensor | None = None,
        on_step: Callable[[int, Tensor], None] | None = None,
        decoder: nn.Module | None = None,
    ) -> Tensor:
        """Masks ``(B, k)`` after `steps` of learned refinement, each of one forward and backward pass.

        They are the mean of those after the last eighth of the steps. It starts from `mask`, by default the predicted
        one of an `INITIAL_RATE_FACTOR` rate for the first price; `streams` makes the noise of the looks. The rate moves to where
        `lambda_k`, a number or one per image, has it (see `lambda_t`); the fewer the steps, the higher the first price,
        since few steps cannot drop much.
        """
        refiner: Any = (decoder or self.decoder).refiner
        lambdas = torch.as_tensor(lambda_k, device=prediction.logits.device, dtype=torch.float32)
        lambdas = lambdas.expand(len(prediction.logits))
        first = (lambdas * min(INITIAL_LAMBDA_SCALE / max(1, steps), LARGEST_INITIAL_LAMBDA_SCALE)).clamp(
            min=FIRST_LAMBDA
        )
        if mask is None:
            rate = prediction.rate_for(torch.minimum(lambdas, first))
            mask = prediction.mask((INITIAL_RATE_FACTOR * rate).clamp(max=RATES[-1]))
        state, settled = begin(mask), torch.zeros_like(mask)
        last = max(1, steps // AVERAGED_TAIL)  # single looks are noisy: the mean of these is better than the last one
        for step in range(steps):
            seen = probe(self.rate_distortion, prediction.encoded, state.mask, streams, slope=True)
            now = lambda_t(lambdas, step, steps, first)
            state = refiner(prediction.evidence, prediction.hidden, now, state, seen)
            if step >= steps - last:
                settled += state.mask / last
            if on_step is not None:
                on_step(step + 1, state.mask)
        return settled if steps else state.mask

    def refuse_others(self, identity: dict[str, Any]) -> None:
        """Raises InputError where weights with this `identity` belong to something else than what is here.

        The size of the images may differ: the decoder is convolutional.
        """
        own = self.rate_distortion.identity()
        for key in own:
            if key != "classifier_input_size" and identity.get(key) != own[key]:
                raise InputError(
                    f"this explainer was trained for another {key.replace('_', ' ')} ({identity.get(key)}, here "
                    f"{own[key]}): use the one it was trained for, or train another"
                )

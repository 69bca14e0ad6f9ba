"""The mask predictor: an input -> masks of any rate, and the rate that a sparsity weight asks for."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.amortized.backbone import Backbone
from amortex.amortized.budget import masks_of_rate
from amortex.amortized.config import PredictorConfig, RefinementSchedule
from amortex.amortized.decoder import Decoder
from amortex.amortized.encoder import Encoder
from amortex.amortized.evidence import Evidence, observe, probe
from amortex.amortized.moves import Hidden
from amortex.amortized.refiner import initial_state, probed_distortion
from amortex.amortized.rescue import Rescue
from amortex.amortized.sparsity_weights import weight_of_learned_steps
from amortex.core.errors import InputError
from amortex.core.masks import LOWEST_RATE, log_spaced_rates
from amortex.core.noise_streams import NoiseStreams
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet

CURVE_RATES = (LOWEST_RATE, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.5, 0.8)  # where the distortion curve has its corners
CANDIDATE_RATES = 64  # that compete for a lambda_k, evenly spaced on a log scale


class Prediction(NamedTuple):
    """Masks of every rate for a batch, from one pass."""

    evidence: Evidence
    logits: Tensor  # (B, k): an ordering of the entries, and how sharply the mask distinguishes them
    curve: Tensor  # (B, len(CURVE_RATES)): predicted distortion at CURVE_RATES, falling
    hidden: Hidden

    @property
    def encoded(self) -> EncodedBatch:
        return self.evidence.encoded

    def mask(self, rate: float | Tensor) -> Tensor:
        """Masks ``(B, k)`` of mean `rate`, a number or one per input ``(B,)``."""
        rate = torch.as_tensor(rate, device=self.logits.device, dtype=torch.float32)
        return masks_of_rate(self.logits, rate.expand(len(self.logits)), live=self.encoded.live)

    def distortion(self, rate: Tensor) -> Tensor:
        """Predicted distortion at rates ``(B, R)``: linear in the logarithm of the rate between corners."""
        corners = torch.tensor((*CURVE_RATES, 1.0), device=rate.device, dtype=rate.dtype).log()
        values = F.pad(self.curve, (0, 1))  # the full mask has no distortion
        log_rate = rate.clamp(CURVE_RATES[0], 1.0).log()
        right = torch.searchsorted(corners, log_rate.detach().contiguous()).clamp(1, len(CURVE_RATES))
        share = (log_rate - corners[right - 1]) / (corners[right] - corners[right - 1])
        return torch.lerp(values.gather(1, right - 1), values.gather(1, right), share)

    def rate_for(self, lambda_k: float | Tensor) -> Tensor:
        """The rate ``(B,)`` of lowest predicted ``D + lambda_k * R``."""
        rates = log_spaced_rates(CANDIDATE_RATES, self.logits.device).expand(len(self.logits), -1)
        weight = torch.as_tensor(lambda_k, device=self.logits.device, dtype=torch.float32).reshape(-1, 1)
        best = (self.distortion(rates) + weight * rates).argmin(1, keepdim=True)
        return rates.gather(1, best)[:, 0]


class MaskPredictor(nn.Module):
    """Predicts wavelet masks from what a frozen classifier computes anyway.

    Arguments:
        rate_distortion: classifier and wavelet transform, of signals, images or volumes.
        config: how it is built.
        refiner: whether to learn refinement, too,
        path: and steps of densification paths.
        schedule: how steps of learned refinement follow each other.

    Raises:
        InputError: the transform is no wavelet transform; the encoder is unknown or has batch normalisation.
    """

    def __init__(
        self,
        rate_distortion: RateDistortion,
        config: PredictorConfig | None = None,
        refiner: bool = False,
        schedule: RefinementSchedule | None = None,
        path: bool = False,
    ) -> None:
        super().__init__()
        self.config = config = config or PredictorConfig()
        self.schedule = schedule or RefinementSchedule()
        self.others: MaskPredictor | None = None  # for classes that are not the predicted ones, if trained apart
        self.lambda_range: tuple[float, float] | None = None  # of lambda_k in its training, if known
        transform, classifier = rate_distortion.transform, rate_distortion.classifier
        if not isinstance(transform, Wavelet):
            raise InputError(f"the mask predictor works on wavelet coefficients, not on {type(transform).__name__}")
        self.rate_distortion, self.gradient = rate_distortion, config.gradient
        self.backbone = Backbone(classifier, config.features)
        encoder = None if config.encoder is None else Encoder(config.encoder, classifier)
        maps = self.backbone if encoder is None else encoder
        self.decoder = Decoder(
            transform.levels, transform.dims, maps.channels, maps.strides, self.backbone.head_size, config,
            len(CURVE_RATES), encoder, refiner, path,
        )  # fmt: skip

    @property
    def passes(self) -> int:
        """Classifier passes that a prediction takes: one forward, and a forward and a backward for the gradient."""
        return 4 if self.gradient else 1

    def forward(
        self,
        image: Tensor,
        target: Tensor | None = None,
        streams: NoiseStreams | None = None,
        decoder: nn.Module | None = None,
    ) -> Prediction:
        """Predict for inputs ``(B, C, *size)`` and classes `target` ``(B,)``, by default the predicted ones.

        `streams` makes the noise of the gradient probe; another `decoder` (averaged weights) can stand in.
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
        schedule: RefinementSchedule | None = None,
    ) -> Tensor:
        """Masks ``(B, k)`` after `steps` of learned refinement, each of one forward and backward pass.

        The result is the mean of the masks after the last steps. Refinement starts from `mask`, by default a predicted
        one, and moves the rate to where `lambda_k`, a number or one per input, has it. `schedule` tells how, by default
        the predictor's own. `streams` makes the noise of the gradient probes.
        """
        schedule, refiner = schedule or self.schedule, (decoder or self.decoder).refiner
        lambdas = torch.as_tensor(lambda_k, device=prediction.logits.device, dtype=torch.float32)
        lambdas = lambdas.expand(len(prediction.logits))
        initial = schedule.initial_lambda(lambdas, steps)
        if mask is None:
            rate = prediction.rate_for(torch.minimum(lambdas, initial))
            rate = (schedule.initial_rate_factor * rate).clamp(max=CURVE_RATES[-1])
            mask = prediction.mask(rate.where(prediction.encoded.predicted, schedule.rate_of_others))
        encoded, mean = prediction.encoded, torch.zeros_like(mask)
        state = initial_state(mask, steps if schedule.unrolled else None)
        sparsity = weight_of_learned_steps(encoded, lambdas, initial, steps, schedule)
        averaged = max(1, steps // schedule.averaged_tail)
        rescue = Rescue(encoded, lambdas.clamp(min=schedule.lowest_lambda), state, steps, averaged, schedule.rescue)
        for step in range(steps):
            mask = encoded.only_live(state.mask)
            gradient = probe(self.rate_distortion, encoded, mask, streams, mask_gradient=True)
            distortion = probed_distortion(encoded, gradient)
            lambda_t = rescue.weight(step, sparsity(step, distortion)).clamp(min=schedule.lowest_lambda)
            moved = refiner(prediction.evidence, prediction.hidden, lambda_t, state, gradient)  # type: ignore[operator]
            state = rescue.state(step, gradient.log_probability.exp(), state, moved)
            if step >= steps - averaged:
                mean += state.mask / averaged
            if on_step is not None:
                on_step(step + 1, encoded.only_live(state.mask))
        return encoded.only_live(mean if steps else state.mask)

    def refuse_others(self, identity: dict[str, Any]) -> None:
        """Raises InputError where weights with this `identity` belong to something else than what is here.

        The size of the inputs may differ: the decoder is convolutional.
        """
        expected = self.rate_distortion.identity()
        for key, value in expected.items():
            if key != "classifier_input_size" and identity.get(key) != value:
                ways = "use the one it was trained for, or train another"
                if key == "obfuscation":
                    ways = (
                        f"give that one (--model.problem.obfuscation {identity.get(key)} in train.py), or train another"
                    )
                raise InputError(
                    f"this explainer was trained for another {key.replace('_', ' ')} ({identity.get(key)}, here "
                    f"{value}): {ways}"
                )

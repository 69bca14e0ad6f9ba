"""The loss of masks in training: their distortion at given rates, so that no mask can collapse."""

import torch
from torch import Tensor
from torch.nn import functional as F

from amortex.amortized.budget import masks_of_rate
from amortex.amortized.predictor import MaskPredictor, Prediction
from amortex.core.noise_streams import NoiseStreams, uniform
from amortex.explainers.presets import Preset
from amortex.explainers.rde import RDE
from amortex.rate_distortion.distortions import surrogate
from amortex.training.config import ObjectiveConfig, RefinementConfig
from amortex.training.input_sizes import InputSizes
from amortex.training.paths import PathLoss
from amortex.training.refinement import Refinement
from amortex.training.targets import drawn_targets

CLAMPED = 1e-6  # distance of imitated masks from 0 and 1, so that their logarithms are finite
Loss = tuple[Tensor, dict[str, Tensor]]  # to minimise, and to log


class Objective:
    """The training loss of a `MaskPredictor`.

    Rates are drawn for each image, and its masks have exactly these rates, so that they cannot collapse. The loss is
    the `surrogate` of the distortion. The interval of the rates moves from `first_rates` to `rates` over the share
    `curriculum` of the steps. The decoder also learns to predict the distortion of its masks, from which the rate for a
    requested lambda_k follows.

    Arguments:
        predictor: the network that is trained.
        config: of the loss.
        refinement: of the loss of learned refinement.
        lambda_k: sparsity weights for the teacher and for refinement.
        seed: of all randomness.

    References:
        Amortized optimisation of the RDE objective (Kolek et al., ECCV 2022, eq. 2-5).
    """

    def __init__(
        self,
        predictor: MaskPredictor,
        config: ObjectiveConfig,
        refinement: RefinementConfig,
        lambda_k: tuple[float, ...],
        seed: int = 0,
    ) -> None:
        self.predictor, self.config, self.lambda_k, self.seed = predictor, config, lambda_k, seed
        self.refinement_config = refinement
        self.refinement = Refinement(predictor, refinement, lambda_k, seed)
        self.paths = PathLoss(predictor, refinement.path_steps, seed)
        self.sizes = InputSizes(predictor, config.smallest_side, seed)

    def __call__(self, image: Tensor, numbers: list[int], progress: float, step: int) -> Loss:
        """Loss of signals ``(B, C, *size)``, and what to log of it.

        Arguments:
            image: the signals.
            numbers: of their samples; all randomness is a function of these.
            progress: share of training that is done.
            step: of training.
        """
        image = self.sizes(image, step)
        streams, target = NoiseStreams.numbered(numbers, self.seed, "look", image.device), None
        if self.refinement_config.other_targets and not self.refinement_config.path_steps:
            with torch.no_grad():
                probabilities = self.predictor.rate_distortion.phi(image)
            target = drawn_targets(probabilities, self.refinement_config.other_targets, numbers, self.seed)
        with torch.set_grad_enabled(not self.refinement_config.trained):
            prediction = self.predictor(image, target, streams)
        if self.refinement_config.path_steps:
            return self.paths(prediction, numbers)
        if self.refinement_config.only:
            return self.refinement(prediction, numbers, step)
        rates = self.rates(numbers, progress).to(image.device)
        if step < self.config.warm_up:
            loss = self.imitate(prediction, rates[:, 0], numbers, step)
            measured = {"loss": loss}
        else:
            loss, measured = self.distortion(prediction, rates, numbers)
        if not self.refinement_config.steps:
            return loss, measured
        refinement_loss, refinement_measured = self.refinement(prediction, numbers, step)
        return loss + refinement_loss, {**measured, **refinement_measured}

    def distortion(self, prediction: Prediction, rates: Tensor, numbers: list[int]) -> Loss:
        """Loss of masks of the rates ``(B, masks)``, which rise in each row: distortion, and error of its prediction.

        A mask counts more where its distortion is above that of the next lower rate.
        """
        config, rd = self.config, self.predictor.rate_distortion
        encoded = prediction.encoded.repeat(config.masks)
        logits = prediction.logits.repeat_interleave(config.masks, 0)
        mask = masks_of_rate(logits, rates.flatten(), live=encoded.live)
        if mask.requires_grad:  # an image whose noisy outputs are not finite must not cost the others their step
            mask.register_hook(lambda gradient: gradient.nan_to_num(0, 0, 0))
        repeated = [number for number in numbers for _ in range(config.masks)]  # the same noise for all masks
        streams = NoiseStreams.numbered(repeated, self.seed, "train", rates.device)
        outputs = rd.outputs(encoded, mask, rd.noise(encoded, streams, slice(None), config.samples))
        divergence = surrogate(encoded.probabilities, outputs, encoded.target, encoded.predicted)
        divergence = divergence.mean(1).unflatten(0, rates.shape)
        distortion = rd.distortions(encoded, outputs.detach()).mean(1).unflatten(0, rates.shape).nan_to_num(0, 0, 0)
        curve_error = (prediction.distortion(rates) - distortion).square()
        rises = F.pad((distortion.diff(dim=1) > config.rise_threshold).to(distortion), (1, 0))
        weighted = divergence * (1 + config.monotone * rises)
        loss = torch.where(divergence.isfinite(), weighted + curve_error, 0.0).mean()
        measured = {
            "loss": divergence.mean(), "distortion": distortion.mean(), "rate": rates.mean(),
            "curve_error": curve_error.mean(), "rises": rises.mean(),
        }  # fmt: skip
        return loss, measured

    def imitate(self, prediction: Prediction, rate: Tensor, numbers: list[int], step: int) -> Tensor:
        """Cross-entropy to the masks of a teacher, at their rates. It starts at predicted masks of `rate` ``(B,)``."""
        config, encoded = self.config, prediction.encoded
        lambda_k = self.lambda_k[step % len(self.lambda_k)]  # the same on all devices
        preset = Preset("warm-up", config.teacher_steps, config.teacher_samples, config.teacher_lr, "constant")
        teacher = RDE(self.predictor.rate_distortion, lambda_k, preset, prediction.mask(rate).detach())
        streams = NoiseStreams.numbered(numbers, self.seed, "teacher", rate.device)
        with torch.no_grad():
            target = teacher._explain(encoded, streams, lambda step, mask: None).mask
        finite = target.isfinite().all(1)
        target = target.nan_to_num(0, 0, 0)
        mask = prediction.mask(encoded.rate(target)).clamp(CLAMPED, 1 - CLAMPED)
        entropy = -encoded.rate(target * mask.log() + (1 - target) * (-mask).log1p())
        zero = 0 * prediction.curve.sum()  # gives every weight a gradient, which distributed training needs
        return torch.where(finite, entropy, 0.0).mean() + zero

    def rates(self, numbers: list[int], progress: float) -> Tensor:
        """Rates of samples ``(B, masks)``, rising in each row.

        The first is log-uniform in the curriculum's interval, the others are at most `rate_spread` above it.
        """
        config = self.config
        moved = min(1.0, progress / config.curriculum) if config.curriculum else 1.0
        interval = torch.lerp(torch.tensor(config.first_rates).log(), torch.tensor(config.rates).log(), moved)
        streams = NoiseStreams.numbered(numbers, self.seed, "rate")
        draws = streams.fill(uniform, slice(None), 1, (config.masks,), torch.float32)[:, 0]
        spread = config.rate_spread * (config.masks > 1)
        share = draws[:, :1] * (1 - spread) + F.pad(draws[:, 1:].sort(1).values * spread, (1, 0))
        return torch.lerp(interval[0], interval[1], share).exp()

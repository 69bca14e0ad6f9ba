"""What training minimises: the distortion of masks whose rates are given, so that none can collapse."""

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
from amortex.training.refinement import Refinement

NEAR = 0.3  # how far apart the rates of an image are at most, as a share of the interval's logarithm
RISE = 0.01  # of the distortion from one rate to the next: more counts as one


class Objective:
    """The training loss of a `MaskPredictor`.

    Each image gets rates of its own, and its masks have exactly these rates, so that they cannot collapse; the loss is
    the `surrogate` of the distortion. The rates fall from `first_rates` to `rates` over the share `curriculum` of the
    steps. Besides, the decoder learns to predict its own distortion, from which the rate for a requested lambda_k
    follows.

    Arguments:
        predictor: what is trained.
        config: what the loss is made of.
        refinement: what is learned of refinement.
        lambda_k: sparsity weights that a teacher and refinement are asked for.
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

    def __call__(self, image: Tensor, numbers: list[int], done: float, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of images ``(B, C, H, W)`` in [0, 1], and what to log of it.

        `numbers` are those of the samples, which all randomness follows from; `done` is the share of training behind.
        """
        h, rd = self.config, self.predictor.rate_distortion
        with torch.set_grad_enabled(not self.refinement_config.only):
            prediction = self.predictor(image, streams=NoiseStreams.numbered(numbers, self.seed, "look", image.device))
        if self.refinement_config.only:
            return self.refinement(prediction, numbers)
        rate = self.rates(numbers, done).to(image.device)
        if step < h.warm_up:
            loss = self.imitate(prediction, rate[:, 0], numbers, step)
            return self.refined(loss, {"loss": loss}, prediction, numbers)
        mask = masks_of_rate(prediction.logits.repeat_interleave(h.masks, 0), rate.flatten())
        if mask.requires_grad:  # an image whose noisy outputs are not finite must not cost the others their step
            mask.register_hook(lambda gradient: gradient.nan_to_num(0, 0, 0))
        encoded = prediction.encoded.repeat(h.masks)
        same_noise = [number for number in numbers for _ in range(h.masks)]
        noise = rd.noise(
            encoded, NoiseStreams.numbered(same_noise, self.seed, "train", image.device), slice(None), h.samples
        )
        outputs = rd.outputs(encoded, mask, noise)
        divergence = surrogate(encoded.probabilities, outputs, encoded.target, encoded.predicted)
        divergence = divergence.mean(1).unflatten(0, rate.shape)
        distortion = rd.distortions(encoded, outputs.detach()).mean(1).unflatten(0, rate.shape).nan_to_num(0, 0, 0)
        surprise = (prediction.distortion(rate) - distortion).square()
        rises = F.pad((distortion.diff(dim=1) > RISE).to(distortion), (1, 0))
        loss = torch.where(divergence.isfinite(), divergence * (1 + h.monotone * rises) + surprise, 0.0).mean()
        measured = {
            "loss": divergence.mean(), "distortion": distortion.mean(), "rate": rate.mean(),
            "curve_error": surprise.mean(), "rises": rises.mean(),
        }  # fmt: skip
        return self.refined(loss, measured, prediction, numbers)

    def refined(
        self, loss: Tensor, measured: dict[str, Tensor], prediction: Prediction, numbers: list[int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """With the loss of the refiner, if there is one."""
        if not self.refinement_config.steps:
            return loss, measured
        more, found = self.refinement(prediction, numbers)
        return loss + more, {**measured, **found}

    def imitate(self, prediction: Prediction, rate: Tensor, numbers: list[int], step: int) -> Tensor:
        """Cross-entropy to a teacher's masks, at their rates; the teacher starts from masks of `rate` ``(B,)``."""
        h, rd = self.config, self.predictor.rate_distortion
        lambda_k = self.lambda_k[step % len(self.lambda_k)]  # the same on all devices
        preset = Preset("warm-up", h.teacher_steps, samples=2, lr=2e-2, schedule="constant")
        teacher = RDE(rd, lambda_k, preset, prediction.mask(rate).detach())
        streams = NoiseStreams.numbered(numbers, self.seed, "teacher", rate.device)
        with torch.no_grad():
            wanted = teacher._explain(prediction.encoded, streams, lambda step, mask: None).mask
        usable = wanted.isfinite().all(1)  # where the classifier's outputs were
        wanted = wanted.nan_to_num(0, 0, 0)
        mask = prediction.mask(wanted.mean(1)).clamp(1e-6, 1 - 1e-6)
        entropy = -(wanted * mask.log() + (1 - wanted) * (-mask).log1p()).mean(1)
        nothing = 0 * prediction.curve.sum()  # every weight has a gradient, as distributed training wants it
        return torch.where(usable, entropy, 0.0).mean() + nothing

    def rates(self, numbers: list[int], done: float) -> Tensor:
        """Rates of samples ``(B, masks)``, rising: one in the curriculum's interval, on a log scale, and neighbours."""
        h = self.config
        moved = min(1.0, done / h.curriculum) if h.curriculum else 1.0
        interval = torch.lerp(torch.tensor(h.first_rates).log(), torch.tensor(h.rates).log(), moved)
        part = NoiseStreams.numbered(numbers, self.seed, "rate").fill(
            uniform, slice(None), 1, (h.masks,), torch.float32
        )[:, 0]
        near = NEAR * (h.masks > 1)
        share = part[:, :1] * (1 - near) + F.pad(part[:, 1:].sort(1).values * near, (1, 0))
        return torch.lerp(interval[0], interval[1], share).exp()

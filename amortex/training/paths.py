"""The loss of learned paths: the distortion along densification paths after each step of their midpoints."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from amortex.amortized.config import PathConfig
from amortex.amortized.learned_path import PathBatch, initial_path_state, probe_path
from amortex.amortized.path_optimizer import path_start
from amortex.amortized.predictor import MaskPredictor, Prediction
from amortex.core.noise_streams import NoiseStreams, uniform
from amortex.training.refinement import log_uniform

STEP_WEIGHT_POWER = 1  # of the place of a step: refinement of an easy input ends early
TYPICAL_DISTORTION = 0.03  # the loss is in units of this
LAMBDA_K = (2.0, 10.0)  # of the refined masks that paths start from


class PathLoss:
    """The loss of the `MidpointRefiner` over its steps, from masks that the trained refiner makes.

    The gradient passes through all steps, but not through what they see of the classifier, as in unrolled training of
    the refiner (see `Refinement`). The pass that computes the gradient is also the probe that the next step begins
    with.

    Arguments:
        predictor: with a trained refiner.
        steps: of the midpoint.
        seed: of all randomness.
    """

    def __init__(self, predictor: MaskPredictor, steps: int, seed: int = 0) -> None:
        self.predictor, self.steps, self.seed = predictor, steps, seed

    def __call__(self, prediction: Prediction, numbers: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of predictions for the samples of these `numbers`, and what to log of it."""
        config, rd, device = PathConfig(), self.predictor.rate_distortion, prediction.logits.device
        refiner: Any = self.predictor.decoder.path
        draws = NoiseStreams.numbered(numbers, self.seed, "price", device).fill(
            uniform, slice(None), 1, (1,), torch.float32
        )[:, 0, 0]
        streams = NoiseStreams.numbered(numbers, self.seed, "refine", device)
        refined = self.predictor.refine(
            prediction, log_uniform(draws, *LAMBDA_K), self.predictor.schedule.default_steps, streams
        )
        encoded = prediction.encoded
        start = path_start(refined, config, encoded.live)
        paths = PathBatch(encoded, prediction.evidence.contrast, prediction.hidden, start)
        has_path = (encoded.predicted & (encoded.rate(start) < config.midpoint_rate)).to(start)
        state = initial_path_state(paths, config)
        streams = NoiseStreams.numbered(numbers, self.seed, "path", device)
        latest = probe_path(rd, paths, state.midpoint, streams, config)
        loss, distortions = torch.zeros((), device=device), [latest.distortion]
        weights = [((step + 1) / self.steps) ** STEP_WEIGHT_POWER for step in range(self.steps)]
        for weight in weights:
            state = checkpoint(refiner, paths, state, latest, config, use_reentrant=False, preserve_rng_state=False)
            latest = probe_path(rd, paths, state.midpoint.detach(), streams, config)
            gradient = -latest.gain / encoded.entries
            scale = weight / sum(weights) / TYPICAL_DISTORTION
            loss = loss + scale * (has_path * (state.midpoint * gradient).sum(1)).mean()
            distortions.append(latest.distortion)
        places = {"path_first": 0, "path_middle": self.steps // 2, "path_last": self.steps}
        inputs = has_path.sum().clamp(min=1)
        return loss, {name: (has_path * distortions[place]).sum() / inputs for name, place in places.items()}

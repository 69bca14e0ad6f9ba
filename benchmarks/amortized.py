"""The objective of trained explainers beside the best trivial answers, rates chosen for each image by measurement.

    python -m benchmarks amortized FOLDER --explainer EXPLAINER [EXPLAINER ...] --samples 8

Behind the tables of docs/results.md, One pass; `train.py compare` measures masks at one rate, not at the best one for
each input. A trivial answer is the empty mask, the full mask, or a hard mask that keeps the top share of an ordering
that needs no training: magnitude, coarse levels first, WAM-SG, sensitivity, and what the predictor starts from. The
distortions that choose among the rates and those that count are measured on different noise. J is the
mean over the inputs with its 95 % bootstrap interval. Give photographs, sounds or volumes that the explainers were not
trained on.
"""

import argparse

import torch
from torch import Tensor
from tqdm import tqdm

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.mask_path import MaskPath
from amortex.amortized.predictor import MaskPredictor, Prediction
from amortex.core.masks import energy, top_share
from amortex.core.modalities import modality_of
from amortex.core.noise_streams import NoiseStreams
from amortex.core.process import prepare
from amortex.explainers.initial import sensitivity
from amortex.explainers.wam import WAM
from amortex.metrics.base import ImageMean, bootstrap_seeds
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion
from benchmarks.quality import curves, signals

Measured = tuple[Tensor, Tensor, Tensor]  # (B, R) each: rates, distortions that choose among them, those that count

REFINED_LAMBDA_K = 5.0  # of the refined masks
RATES = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)


@torch.no_grad()
def main(options: argparse.Namespace) -> None:
    prepare()
    size = {} if options.size is None else {"input_size": options.size}
    predictors = [load_predictor(path, internal_batch_size=64, **size) for path in options.explainer]
    for predictor in predictors[1:]:
        predictor.refuse_others(predictors[0].rate_distortion.identity())
    rd = predictors[0].rate_distortion
    chunks = [chunk for batch in signals(rd, options.folder, options.images) for chunk in batch.image.split(8)]
    shapes = " and ".join(sorted({" x ".join(map(str, chunk.shape[2:])) for chunk in chunks}))
    noun = modality_of(chunks[0].ndim - 2).noun
    seeds = [seed for chunk in chunks for seed in bootstrap_seeds(chunk)]
    print(f"{options.images} {noun}s of {shapes}, {options.samples} draws per mask: J [95 % interval] (mean rate)\n")
    print("| answer | " + " | ".join(f"lambda_k = {value:g}" for value in options.lambda_k) + " |")
    print("|---|" + "---|" * len(options.lambda_k))
    answers: dict[str, list[Measured]] = {}
    for chunk in tqdm(chunks, desc="trivial answers", disable=None):
        prediction = predictors[0](chunk)
        for name, masks in trivial(predictors[0], prediction).items():
            answers.setdefault(name, []).append(measure(rd, prediction.encoded, masks, options.samples))
    for name, parts in answers.items():
        print_row(name, parts, options.lambda_k, seeds, chosen=True)
    for path, predictor in zip(options.explainer, predictors, strict=True):
        answers, predicted = {}, []
        for chunk in tqdm(chunks, desc=path, disable=None):
            prediction = predictor(chunk)
            for name, masks in trained(predictor, prediction).items():
                answers.setdefault(name, []).append(measure(rd, prediction.encoded, masks, options.samples))
            masks = [prediction.mask(prediction.rate_for(value)) for value in options.lambda_k]
            predicted.append(measure(rd, prediction.encoded, masks, options.samples))
        for name, parts in answers.items():
            print_row(f"{name}: {path}", parts, options.lambda_k, seeds, chosen=True)
        print_row(f"amortized, rate predicted: {path}", predicted, options.lambda_k, seeds, chosen=False)


def trivial(predictor: MaskPredictor, prediction: Prediction) -> dict[str, list[Tensor]]:
    """The masks of the answers that need no training, at `RATES`."""
    rd, encoded = predictor.rate_distortion, prediction.encoded
    energies = energy(encoded.coefficients)
    orderings = {
        "magnitude": energies,
        "coarse levels first": coarse_first(encoded),
        "sensitivity": sensitivity(rd, encoded, NoiseStreams.of(encoded.image)),
        "WAM-SG": WAM(rd, "smoothgrad").explain(encoded.image).relevance,
        "the predictor before training": predictor.decoder.inputs(prediction.evidence)[0],
    }
    hard = {
        name: [top_share(values, rate, energies, encoded.live) for rate in RATES] for name, values in orderings.items()
    }
    empty = torch.zeros_like(energies)
    return {"empty mask": [empty], "full mask": [empty + 1], **hard}


def coarse_first(encoded: EncodedBatch) -> Tensor:
    """Low-pass, then level J down to 1, within a level by energy."""
    energies = energy(encoded.coefficients)
    level = encoded.layout.level.float()
    level = torch.where(level == 0, level.max() + 1, level)
    return level + energies / (1 + energies.amax(1, keepdim=True))


def trained(predictor: MaskPredictor, prediction: Prediction) -> dict[str, list[Tensor]]:
    """The masks of an explainer at `RATES`: of one pass, and through refined ones if it has learned refinement."""
    energies = energy(prediction.encoded.coefficients)
    masks = {
        "amortized": [prediction.mask(rate) for rate in RATES],
        "amortized, hard": [top_share(prediction.logits, rate, energies, prediction.encoded.live) for rate in RATES],
    }
    if predictor.decoder.refiner is not None:
        streams = NoiseStreams.of(prediction.encoded.image, stream="refine")
        steps = predictor.schedule.default_steps
        refined = predictor.refine(prediction, REFINED_LAMBDA_K, steps, streams)
        path = MaskPath(predictor, prediction, refined, hard=False)
        masks[f"amortized, {steps} learned steps"] = [
            path.mask(energies.new_full((len(energies),), rate)) for rate in RATES
        ]
    return masks


def measure(rd: RateDistortion, encoded: EncodedBatch, masks: list[Tensor], samples: int) -> Measured:
    """Rates and distortions of R masks per image."""
    rates = torch.stack([encoded.rate(mask) for mask in masks], 1)
    choosing, counting = (curves(rd, encoded, masks, samples, stream) for stream in ("a", "b"))
    return rates, choosing, counting


def print_row(name: str, parts: list[Measured], lambdas: list[float], seeds: list[int], chosen: bool) -> None:
    """A row of the table; without `chosen` the columns are the masks for each of the `lambdas`."""
    rates, choosing, counting = (torch.cat(part) for part in zip(*parts, strict=True))
    cells = []
    for index, value in enumerate(lambdas):
        best = (choosing + value * rates).argmin(1, keepdim=True)
        if not chosen:
            best = torch.full_like(best, index)
        rate, distortion = rates.gather(1, best), counting.gather(1, best)
        objective = ImageMean(["J"])
        objective.update(distortion + value * rate, seeds)
        cells.append(f"{objective.compute()['J']} ({rate.mean():.1%})")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)

"""What a report says of how everything was measured."""

from collections.abc import Iterator

from amortex.classifiers.size_notice import size_notice
from amortex.comparison.context import Context
from amortex.core.modalities import modality_of
from amortex.core.noise_streams import EVALUATION_SEED
from amortex.core.rates import LOWEST_LOG_RATE
from amortex.core.version import __version__
from amortex.explainers.presets import PRESETS
from amortex.metrics.functional import CANNY_OPTIONS

WITH_INSERTION = {"noise", "overlap"}  # sections that measure insertion and deletion whatever metrics are chosen


def protocol_text(images: int, context: Context) -> str:
    """How so many signals were measured: a paragraph on what was compared, and one on what was measured of it."""
    problem, config, modality, noun = context.problem, context.config, context.modality, context.noun
    all_lambda_k = ", ".join(f"{value:g}" for value in config.lambda_k)
    classifier = context.classifier
    size, position = classifier.signal_config["input_size"][1:], modality.unit.removesuffix("s")
    longest = "up to " * bool(classifier.signal_config.get("lengths"))
    sides = f"{longest}{' x '.join(map(str, size))} {modality_of(len(size)).unit}"
    compared = [
        f"{images} {noun}s of {sides}, classifier `{problem.classifier}`"
        + " on log-mel spectrograms" * (problem.domain == "mel"),
        f"{problem.wavelet}, {problem.levels} levels, {problem.padding} padding",
        f"obfuscation {problem.obfuscation}, preset `{config.preset}`, lambda_k {all_lambda_k}",
        f"{config.samples} noise draws per mask (seed {EVALUATION_SEED}, the same for all methods and rates)",
    ]
    said = [
        f"Scale 0 is the low-pass, 1 the finest: {', '.join(context.scales)}.",
        "" if position == "pixel" else f"What is called a pixel is a {position}.",
        *_of_metrics(context),
        f"CartoonX steps take {PRESETS[config.preset].samples} draws. A forward pass counts 1, forward and backward 3.",
        f"In brackets 95 % intervals: Poisson bootstrap over {noun}s, 1000 replicates. amortex {__version__}.",
    ]
    notice = size_notice(classifier)
    paragraphs = [";\n".join(compared) + ".", "\n".join(filter(None, said)), f"{notice}." if notice else ""]
    return "\n\n".join(filter(None, paragraphs))


def _of_metrics(context: Context) -> Iterator[str]:
    """How the chosen metrics are measured."""
    config = context.config
    metrics = set(config.metrics) if "methods" in config.sections else set()
    if metrics & {"distortion", "noise_out"}:
        yield f"Curves are measured at the rates {', '.join(f'{rate:g}' for rate in config.rates)};"
        yield f"areas are means over the axis of rates, from the first (log: from {LOWEST_LOG_RATE}) to the last."
    if "insertion" in metrics or WITH_INSERTION & set(config.sections):
        yield f"{config.insertion_steps} steps of insertion and deletion (trapezoid rule, zero baseline)."
    if "mu_fidelity" in metrics:
        yield f"{config.subsets} subsets of 20 % for mu-fidelity (zero baseline)."
    yield "Ties are broken by coefficient energy. Masks of rankings keep their top 5 %;"
    yield "relevance is the sum over channels of absolute attributions of the class's logit."
    if "conciseness" in metrics:
        edges = f" and hallucination are of the mask as it is (Canny: {CANNY_OPTIONS})."
        yield f"CP{edges}" if context.modality.dims == 2 else "CP is of the mask as it is."

"""What the benchmark `peers` compares: amortex's methods, those of other packages, and the ways to read their maps."""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.explainer import Amortized
from amortex.amortized.released import released
from amortex.comparison.methods import Method
from amortex.core.errors import InputError
from amortex.explainers import build_explainer
from amortex.explainers.base import Explainer, Explanation
from amortex.explainers.mapped import in_coefficients
from amortex.rate_distortion.pipeline import RateDistortion
from benchmarks.peer_packages import PEERS, PackageAttribution

LAMBDA_K = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """A way to make an order of an explanation.

    Arguments:
        name: behind the method's, in the tables.
        rd: over what is ordered.
        of: an explanation -> the one that is measured.
    """

    name: str
    rd: RateDistortion
    of: Callable[[Explanation], Explanation]


def own_methods(wavelets: RateDistortion, pixels: RateDistortion, options: argparse.Namespace) -> Iterator[Method]:
    """amortex's methods, those of `options.methods`."""
    predictor = load_predictor(released(wavelets.classifier.name), wavelets.classifier, internal_batch_size=16)
    explainers: dict[str, Explainer] = {"amortex, one pass": Amortized(predictor, LAMBDA_K, learned_steps=0)}
    explainers |= {f"amortex, {n} passes": Amortized(predictor, LAMBDA_K, passes=n) for n in options.passes}
    explainers |= {
        "amortex, CartoonX fast": build_explainer("cartoonx", wavelets, lambda_k=LAMBDA_K, preset="fast"),
        "amortex, WAM-SG": build_explainer("wam_sg", wavelets),
        "magnitude": build_explainer("magnitude", wavelets),
        "random pixels": build_explainer("random_pixels", pixels),
    }
    for name, explainer in explainers.items():
        if chosen(name, options.methods):
            trivial = name in ("magnitude", "random pixels")
            kind = "amortized" if isinstance(explainer, Amortized) else "trivial" if trivial else "exact"
            yield Method(name, explainer, kind, LAMBDA_K)


def peer_methods(pixels: RateDistortion, texts: Sequence[str]) -> Iterator[Method]:
    """The methods of packages that are installed; a notice for each package that is not."""
    missing: set[str] = set()
    for name, peer in PEERS.items():
        if chosen(name, texts):
            try:
                yield Method(name, PackageAttribution(pixels, name), peer.family)
            except InputError as error:
                if peer.package not in missing:
                    logger.warning("%s", error)
                missing.add(peer.package)


def chosen(name: str, texts: Sequence[str]) -> bool:
    """Whether a method's name holds one of the texts, or there are none."""
    return not texts or any(text.lower() in name.lower() for text in texts)


def readings(method: Method, pixels: RateDistortion, wavelets: RateDistortion) -> list[Reading]:
    """The ways to make an order of a method's explanations."""
    explainer = method.explainer
    if not isinstance(explainer, PackageAttribution):
        return [Reading("", explainer.rate_distortion, lambda explanation: explanation)]
    orders = {"absolute": lambda explanation: explanation, "positive": positive}
    return [
        reading
        for sign in explainer.peer.signs
        for reading in (
            Reading(f" (pixels, {sign})", pixels, orders[sign]),
            Reading(f" (mapped, {sign})", wavelets, lambda made, of=orders[sign]: in_coefficients(of(made), wavelets)),
        )
    ]


def positive(explanation: Explanation) -> Explanation:
    """The order by positive evidence alone."""
    assert explanation.signed is not None
    return replace(explanation, relevance=explanation.signed.clamp(min=0))

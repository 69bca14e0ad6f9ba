"""Speed on sound and volumes: WAM-SG over bare passes of the classifier, and wavelet transforms over those of ptwt.

    python -m benchmarks signals
    python -m benchmarks signals --threads 2 --parts transforms

Behind docs/results.md, Speed, Sound and volumes. Each row times both pieces of work in turn, and prints the median of
the ratios. WAM-SG (n = 25) explains a batch of random signals; bare are 25 passes, forward and backward to the input,
of the same network over as many signals, its front end included. With one thread torch has a slow convolution for
batches below 16, which WAM-SG avoids where it computes several draws at once. The transforms are compared with those of
ptwt (EUPL; a reference alone, which comes with the extra `dev`): forward, inverse, and both with the gradient of their
sum of squares.
"""

import argparse
import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.core.modalities import MODALITIES
from amortex.core.process import prepare
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.rate_distortion.problem import Problem
from amortex.transforms.wavelet import Wavelet
from benchmarks.timing import (
    Comparison,
    Work,
    forward_backward,
    machine,
    print_header,
    print_row,
    repeated,
    side_by_side,
)

DRAWS = 25
EXPLAINED = (("audio", [1, 15_600]), ("audio", [1, 80_000]), ("volume", [1, 16, 16, 16]))  # sizes of inputs
TRANSFORMED = (("db3", 8, (16, 16_000)), ("haar", 3, (16, 32, 32, 32)))  # wavelet, levels, shape without channels


def main(options: argparse.Namespace) -> None:
    prepare()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    torch.manual_seed(0)
    ptwt = reference() if "transforms" in options.parts else None
    print(f"{machine()}\nmedian of {options.repeats} alternating repeats\n")
    print_header()
    if "wam" in options.parts:
        for modality, size in EXPLAINED:
            rd = Problem(MODALITIES[modality].classifier, input_size=size).build()
            for count in options.batches:
                shape = "x".join(map(str, size))
                row = wam_sg(rd, count, options.repeats)
                print_row(f"WAM-SG, {rd.classifier.name}, {count} of {shape}, over {DRAWS} passes", row)
    for wavelet, levels, shape in TRANSFORMED if ptwt else ():
        for name, (ours, theirs) in transforms(ptwt, wavelet, levels, torch.randn(shape)).items():
            row = side_by_side(repeated(ours, options.times), repeated(theirs, options.times), options.repeats)
            print_row(f"{name}, {wavelet}, {'x'.join(map(str, shape))}, {options.times} times, over ptwt", row)


def reference() -> Any:
    """The package ptwt; raises InputError where it is not installed."""
    try:
        return importlib.import_module("ptwt")
    except ImportError as error:
        raise InputError('the transforms are compared with ptwt: pip install ptwt, or choose "--parts wam"') from error


def wam_sg(rd: RateDistortion, count: int, repeats: int) -> Comparison:
    """WAM-SG of `count` random signals, over as many passes of the network as it has draws."""
    signal = torch.rand(count, *rd.classifier.input_size)
    explainer, inputs, model = WAM(rd, "smoothgrad", samples=DRAWS), signal.clone(), rd.classifier.model
    passes = repeated(lambda: forward_backward(model, inputs), DRAWS)
    return side_by_side(lambda: explainer.explain(signal), passes, repeats)


def transforms(ptwt: Any, wavelet: str, levels: int, signal: Tensor) -> dict[str, tuple[Work, Work]]:
    """What the transforms of signals ``(B, *size)`` do, each as ours and ptwt's."""
    dims, channel = signal.ndim - 1, signal[:, None]
    ours = Wavelet(wavelet, levels, dims=dims)
    suffix = "" if dims == 1 else str(dims)
    analyse, synthesise = getattr(ptwt, f"wavedec{suffix}"), getattr(ptwt, f"waverec{suffix}")

    def decomposed(x: Tensor) -> Any:
        return analyse(x, wavelet, mode=ours.padding, level=levels)

    our_bands, their_bands = ours(channel), decomposed(signal)
    ours_both = differentiated(lambda x: ours.inverse(ours(x)), channel)
    theirs_both = differentiated(lambda x: synthesise(decomposed(x), wavelet), signal)
    return {
        "forward": (lambda: ours(channel), lambda: decomposed(signal)),
        "inverse": (lambda: ours.inverse(our_bands), lambda: synthesise(their_bands, wavelet)),
        "both and their gradient": (ours_both, theirs_both),
    }


def differentiated(function: Callable[[Tensor], Tensor], x: Tensor) -> Work:
    """The gradient of the sum of squares of a function's values."""
    leaf = x.clone().requires_grad_()
    return lambda: torch.autograd.grad(function(leaf).square().sum(), leaf)

"""Explanations of a batch with what is known of them: provenance, certificates, and rows of plain values."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from amortex.core.errors import InputError
from amortex.explainers.base import Explainer, Explanation, OnStep, picture
from amortex.explaining.rows import Row
from amortex.io.finding import Source
from amortex.rate_distortion.certificate import Certificate, certify
from amortex.rate_distortion.chunking import Pause, idle
from amortex.rate_distortion.encoded_batch import class_probability
from amortex.rate_distortion.pipeline import RateDistortion

MIN_SAMPLES = 2  # of a certificate: a single draw has no interval
Result = TypeVar("Result", bound="ExplanationResult")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ExplanationResult(Explanation):
    """The explanations of a batch, and where they come from.

    Arguments:
        rate_distortion: the pipeline that they were made for.
        settings: everything that determines them, as plain values, see `Request.settings`.
        sources: one for each input.
        seconds: wall clock time per input.
    """

    rate_distortion: RateDistortion
    settings: dict[str, Any]
    sources: Sequence[Source]
    seconds: float
    _certificates: dict[int, Certificate] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self: Result, index: int | slice) -> Result:
        """The result of one of the inputs, or of some, with what is known of them."""
        chosen = range(len(self))[index]
        rows = torch.tensor([chosen] if isinstance(chosen, int) else chosen, dtype=torch.long, device=self.mask.device)
        part = replace(
            self,
            encoded=self.encoded.of(rows),
            mask=self.mask[rows],
            relevance=self.relevance[rows],
            signed=None if self.signed is None else self.signed[rows],
            extra={name: values[rows] for name, values in self.extra.items()},
            sources=[self.sources[row] for row in rows],
        )
        part._certificates.update((samples, known.of(rows)) for samples, known in self._certificates.items())
        return part

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} by {self.settings['method']})"

    @cached_property
    def picture(self) -> Tensor:
        """What the masks keep of the mean of the channels, ``(B, 1, *size)``: of images a grey picture in [0, 1]."""
        return picture(self.rate_distortion, self)

    @cached_property
    def kept(self) -> Tensor:
        """What the masks keep of the inputs, ``T^-1(s h)``, ``(B, C, *size)``, in no range: the rest is dropped."""
        with torch.no_grad():
            return self.rate_distortion.transform.inverse(self.encoded.coefficients.masked(self.mask))

    @cached_property
    def alone(self) -> Tensor:
        """Probabilities ``(B, M)`` of what is kept alone: with zero for the rest, and no noise."""
        rd, chunks = self.rate_distortion, self.rate_distortion.chunks(len(self))
        with torch.no_grad():
            signal = rd.picture(self.encoded.coefficients.masked(self.mask))
            return torch.cat([rd.phi(signal[chunk]) for chunk in chunks])

    @property
    def samples(self) -> int:
        """Noise draws of the certificate with the most; before any, those of `settings`."""
        return max(self._certificates, default=int(self.settings["certificate_samples"]))

    def certificate(self, samples: int | None = None, pause: Pause = idle) -> Certificate:
        """Rate, distortion and retention with 95 % intervals, whether the class is retained; measured once.

        A result is printed with it, and `row` holds what makes it doubtful.

        Arguments:
            samples: noise draws per input, which no explainer has seen; by default those of `settings`: 64, or more
                where masks are to show a retention.
            pause: called after each chunk of draws; may raise.

        Raises:
            InputError: fewer than two draws, which have no interval.
        """
        samples = self.settings["certificate_samples"] if samples is None else samples
        if samples < MIN_SAMPLES:
            raise InputError(f"a certificate needs at least {MIN_SAMPLES} samples, not {samples}")
        if samples not in self._certificates:
            self._certificates[samples] = certify(self.rate_distortion, self.encoded, self.mask, samples, pause=pause)
        return self._certificates[samples]

    def row(self, index: int, samples: int | None = None) -> Row:
        """What is known of one input, as plain values. Distortion and retention are known after a certificate.

        Arguments:
            index: of the input.
            samples: of the certificate to take; by default the one with the most.
        """
        rd, encoded = self.rate_distortion, self.encoded
        target = int(encoded.target[index])
        certificates = self._certificates
        certified = certificates[samples or max(certificates)].row(index) if certificates else {}
        row = {
            "target": target,
            "class_name": rd.classifier.class_name(target),
            "method": self.settings["method"],
            "preset": self.settings.get("explainer_preset", ""),
            "lambda_k": self.settings.get("explainer_lambda_k", ""),
            "alpha": self.settings.get("explainer_alpha"),
            "seconds": round(self.seconds, 3),
            "seed": self.settings["explainer_seed"],
            "obfuscation": rd.obfuscation.name,
            "distortion_name": rd.distortion if bool(encoded.predicted[index]) else "label_max",
            "probability": class_probability(encoded)[index].item(),
            "predicted": bool(encoded.predicted[index]),
            "rate": self.encoded.rate(self.mask)[index].item(),
            **certified,
            **self._alone(index),
            **{name: values[index].item() for name, values in self.extra.items()},
        }
        if certified:
            row["caveats"] = "; ".join(filter(None, (row["caveats"], self._unconverged(row))))
        return row

    def _alone(self, index: int) -> Row:
        """What is kept of an input to the classifier, if it is all that is there."""
        if not self._certificates:
            return {}
        probabilities = self.alone[index]
        return {
            "kept_class": self.rate_distortion.classifier.class_name(int(probabilities.argmax())),
            "kept_probability": probabilities[self.encoded.target[index]].item(),
        }

    def _unconverged(self, row: Row) -> str:
        """What tells that an optimised mask is not: its rate alone costs more than the empty mask can."""
        bounded = self.rate_distortion.distortion in ("label_l2", "label_max")  # by 1
        chosen = "explainer_min_retention" in self.settings  # whose rate is not that of an optimum
        if chosen or not (row["preset"] and bounded and row["lambda_k"] * row["rate"] > 1):
            return ""
        return f"not converged: lambda_k x rate is {row['lambda_k'] * row['rate']:.2g}, above 1; give it more steps"


def explain_timed(
    result: type[Result],
    explainer: Explainer,
    settings: dict[str, Any],
    sources: Sequence[Source],
    signals: Tensor,
    target: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Result:
    """Explain signals ``(B, C, *size)``, and measure the time that it takes.

    Arguments:
        result: the class to return.
        explainer: what explains.
        settings: everything that determines the explanations, as plain values.
        sources: one for each signal.
        signals: in the range of values of the explainer's pipeline.
        target: classes ``(B,)`` to explain, by default the predicted ones.
        on_step: called after each step of the explainer.
    """
    start = time.perf_counter()
    explanation = explainer.explain(signals, target, on_step)
    explanation.mask.isfinite().tolist()  # waits for the device, so that the time below is the explainer's
    seconds = (time.perf_counter() - start) / len(signals)
    rd = explainer.rate_distortion
    return result(**vars(explanation), rate_distortion=rd, settings=settings, sources=sources, seconds=seconds)

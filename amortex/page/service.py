"""What the page asks of the library: explanations, and their rate-distortion curves.

All of it runs in the worker's thread. The numbers are those of `load_explainer` with the same options and seed.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from amortex.amortized.explainer import Amortized
from amortex.app.library import load_explainer
from amortex.app.loaded_explainer import LoadedExplainer
from amortex.app.options import AMORTIZED, METHOD_OPTIONS
from amortex.core.errors import InputError
from amortex.core.modalities import modality_of
from amortex.explainers.base import Explanation, picture
from amortex.explaining.results import ExplanationResult
from amortex.metrics.functional.curves import kept_entries, rate_distortion_curve, relevance_ranks
from amortex.page import requests
from amortex.page.pictures import VIEWS, mask_layout, plain, png_url
from amortex.page.requests import Request
from amortex.page.signals import Recent, Signals
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

METHODS = {
    "image": ("amortized", "cartoonx", "pixel_rde", "wam", "wam_sg", "wam_ig", "smoothgrad", "gradcam", "magnitude"),
    "audio": ("wam_ig", "wam_sg", "wam", "cartoonx", "magnitude"),
    "volume": ("wam_sg", "wam", "wam_ig", "cartoonx", "magnitude"),
}  # that the page offers, the default first
CURVE_RATES = (
    0.0, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.18, 0.27, 0.4, 0.6, 0.8, 1.0,
)  # fmt: skip
CURVE_SAMPLES = 16
PREVIEWS = 40  # pictures of a mask on its way
MOST_STEPS, MOST_LAMBDA = 2000, 1000.0

OBFUSCATIONS = ("default", "zero", "gaussian")

OnEvent = Callable[[dict[str, Any]], None]
OnStep = Callable[[], None]  # may raise, to end a job


def knobs(method: str) -> list[str]:
    """What people can turn of a method."""
    names = ("lambda_k", "steps") if method == AMORTIZED else ("lambda_k", "steps", "rate")
    return [name for name in names if name in METHOD_OPTIONS[method]]


class Service:
    """Explains one classifier.

    Arguments:
        base: an explainer of it; if it is an amortized one, so can the page be.
    """

    def __init__(self, base: LoadedExplainer) -> None:
        self.classifier = base.classifier
        if self.classifier.data_config is not self.classifier.signal_config:
            raise InputError("the page explains sounds on their waveforms: leave out the mel domain")
        _, *size = self.classifier.signal_config["input_size"]
        if len(size) == 2 and size[0] != size[1]:
            raise InputError("the page shows square images: give an explainer with another input size")
        self.modality = modality_of(len(size)).name
        self.signals = Signals(self.modality, self.classifier.signal_config)
        self.predictor = base.explainer.predictor if isinstance(base.explainer, Amortized) else None
        self.methods = tuple(name for name in METHODS[self.modality] if name != AMORTIZED or self.predictor is not None)
        settings = base.explainer.rate_distortion.transform.settings()
        self.problem: dict[str, Any] = {
            name: settings[name] for name in ("wavelet", "levels", "padding") if name in settings
        }
        self._explainers: Recent[LoadedExplainer] = Recent(16)
        self._encoded: Recent[EncodedBatch] = Recent(16)
        self._results: Recent[ExplanationResult] = Recent(16)

    def explainer(self, method: str, **options: Any) -> LoadedExplainer:
        """The library's explainer of a method with these options."""
        key = (method, *sorted(options.items()))
        found = self._explainers.get(key)
        if found is None:
            if method == AMORTIZED:
                found = LoadedExplainer(Amortized(self.predictor, **options), method)  # type: ignore[arg-type]
            else:
                found = load_explainer(method=method, classifier=self.classifier, **self.problem, **options)
            self._explainers.put(key, found)
        return found

    def explain(self, request: Request, on_event: OnEvent, on_step: OnStep) -> None:
        """Explain a signal: events of progress, then one with the result and the key of its curve.

        `on_step` is called after each step, and may raise.
        """
        method = requests.choice(request, "method", self.methods)
        options = {
            "lambda_k": requests.number(request, "lambda_k", 0, MOST_LAMBDA),
            "steps": requests.integer(request, "steps", 1, MOST_STEPS),
            "rate": requests.number(request, "rate", 1e-4, 1),
        }
        obfuscation = requests.choice(request, "obfuscation", OBFUSCATIONS, "default")
        wanted: dict[str, Any] = {name: options[name] for name in knobs(method) if options[name] is not None}
        if method != AMORTIZED and obfuscation != "default":  # whose training knows one kind of noise alone
            wanted["obfuscation"] = obfuscation
        key, target = requests.text(request, "signal") or "", requests.text(request, "target")
        loaded, signal = self.explainer(method, **wanted), self.signals.tensor(key)
        name = (key, method, target, *sorted(wanted.items()))
        rd, steps = loaded.explainer.rate_distortion, loaded.explainer.steps
        every, encoded = max(1, steps // PREVIEWS), self.encode(rd, key, method) if steps > 1 else None

        away = 0.0  # seconds that are not the method's own

        def report(step: int, mask: Tensor) -> None:
            nonlocal away
            started = time.perf_counter()
            on_step()
            if encoded is not None and (step % every == 0 or step == 1):
                shown = {"picture": png_url(self._kept(rd, encoded, mask)[0])} if self.modality == "image" else {}
                rate = float(encoded.rate(mask)[0])
                on_event({"event": "progress", "step": step, "steps": steps, "rate": rate, **shown})
            away += time.perf_counter() - started

        result = loaded.explain(signal, target, report)
        on_step()
        result = replace(result, seconds=result.seconds - away)
        result.certificate(pause=on_step)
        self._results.put(repr(name), result)
        on_event(plain({
            "event": "result",
            "row": result.row(0),
            "summary": repr(result).partition(": ")[2],
            "passes": result.extra["passes"].item(),
            "result": repr(name),
            "mask": mask_layout(result),
            **VIEWS[self.modality](result),
        }))  # fmt: skip

    def curve(self, request: Request, on_event: OnEvent, on_step: OnStep) -> None:
        """The rate-distortion curve of an explanation: one event per rate, with the picture of the mask."""
        result = self._results.get(requests.text(request, "result"))
        if result is None:
            raise InputError("this explanation is not here any more: explain again")
        rd, encoded, ranks = result.rate_distortion, result.encoded, relevance_ranks(result)
        for rate in CURVE_RATES:
            on_step()
            measured = rate_distortion_curve(rd, result, (rate,), CURVE_SAMPLES)
            mask = encoded.only_live((ranks < kept_entries(encoded, rate)).float())
            point: dict[str, Any] = {"event": "point", "rate": rate, "distortion": float(measured["distortion"].mean())}
            point["retained"] = bool(measured["retained"][0, 0] == 1)
            if self.modality == "image":
                point["picture"] = png_url(self._kept(rd, encoded, mask)[0])
            on_event(plain(point))
        on_event({"event": "end"})

    def describe(self) -> dict[str, Any]:
        """What the page needs to know of this classifier."""
        return {
            "classifier": self.classifier.name,
            "size": list(self.classifier.input_size),
            "classes": [self.classifier.class_name(index) for index in range(self.classifier.num_classes)],
        }

    def preview(self, key: str) -> Tensor:
        """The image ``(C, H, W)`` of a key as the classifier sees it."""
        return self.signals.tensor(key)[0]

    def encode(self, rd: RateDistortion, key: str, domain: str) -> EncodedBatch:
        """A signal encoded, from the last ones that were."""
        found = self._encoded.get((key, domain))
        if found is None:
            signal = self.signals.tensor(key).to(self.classifier.mean.device)
            found = self._encoded.put((key, domain), rd.encode(self.classifier.front_end(signal)))
        return found

    def _kept(self, rd: RateDistortion, encoded: EncodedBatch, mask: Tensor) -> Tensor:
        return picture(rd, Explanation(encoded, mask.detach(), mask.detach()))

"""Explanations with all that is said about them: measured, drawn, written."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from amortex.core.errors import InputError, escape
from amortex.explainers.base import Explainer, Explanation, OnStep, picture
from amortex.explaining.certificate import Certificate, certify
from amortex.explaining.folder import Results, Writer
from amortex.explaining.rows import Row
from amortex.io.images import Source
from amortex.rate_distortion.pipeline import class_probability

if TYPE_CHECKING:  # matplotlib is imported where a panel is drawn
    from matplotlib.figure import Figure

MOST_SHOWN = 8  # panels in a notebook


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ExplanationResult(Explanation):
    """The explanations of a batch; a notebook shows their panels.

    Arguments:
        explainer: what made them.
        settings: everything that determines them, as plain values.
        sources: where the images come from, one for each.
        seconds: wall clock time per image.
    """

    explainer: Explainer
    settings: dict[str, Any]
    sources: Sequence[Source]
    seconds: float
    _measured: dict[int, Certificate] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.mask)

    @cached_property
    def picture(self) -> Tensor:
        """The explanations as grey pictures, ``(B, 1, H, W)`` in [0, 1]."""
        return picture(self.explainer.rate_distortion, self)

    def certificate(self, samples: int = 64) -> Certificate:
        """Rate, distortion with its 95 % interval, and whether the class is retained, ``(B,)`` each; measured once.

        Arguments:
            samples: noise draws per image, none of which an explainer has seen.

        Raises:
            InputError: fewer than two draws, which have no interval.
        """
        if samples < 2:
            raise InputError(f"a certificate needs at least 2 samples, not {samples}")
        if samples not in self._measured:
            self._measured[samples] = certify(self.explainer.rate_distortion, self, samples)
        return self._measured[samples]

    def row(self, index: int, samples: int | None = None) -> Row:
        """What is known of one image, as plain values: distortion and class retained once there is a certificate.

        Of several, that of so many `samples`, by default of the most.
        """
        rd, encoded, known = self.explainer.rate_distortion, self.encoded, self.explainer.settings()
        target = int(encoded.target[index])
        measured = self._measured[samples or max(self._measured)]._asdict() if self._measured else {}
        return {
            "target": target,
            "class_name": rd.classifier.class_name(target),
            "method": self.settings["method"],
            "preset": known.get("preset", ""),
            "lambda_k": known.get("lambda_k", ""),
            "alpha": known.get("alpha"),
            "seconds": round(self.seconds, 3),
            "seed": known["seed"],
            "distortion_name": rd.distortion if bool(encoded.predicted[index]) else "label_max",
            "probability": class_probability(encoded)[index].item(),
            "rate": self.mask[index].mean().item(),
            **{name: values[index].item() for name, values in measured.items()},
            **{name: values[index].item() for name, values in self.extra.items()},
        }

    def panel(self, index: int = 0) -> "Figure":
        """Image, explanation, mask and importance per scale, as ``explain.py`` draws them."""
        from amortex.explaining.plots import panel

        encoded = self.encoded
        return panel(
            encoded.image[index].cpu(), self.picture[index].cpu(), self.mask[index].cpu(),
            self.importance[index].cpu(), encoded.layout, self._title(self.row(index)),
        )  # fmt: skip

    def save(self, folder: str | Path, samples: int = 64, overwrite: bool = False) -> list[Row]:
        """Write what ``explain.py`` writes: pictures, panels, masks and summaries; returns the rows of the summary.

        Images that the folder holds already are left as they are, and not among the rows.

        Arguments:
            folder: made if it is not there.
            samples: of the certificate.
            overwrite: forget what the folder holds.

        Raises:
            InputError: the folder cannot be made, or holds results of other settings; a file is here for two classes.
        """
        classes = zip((source.label for source in self.sources), self.encoded.target.tolist(), strict=True)
        if len(set(classes)) > len({source.label for source in self.sources}):
            raise InputError("a folder holds one class of each image: save explanations of others to another folder")
        self.certificate(samples)
        results = Results(Path(folder), {**self.settings, "certificate_samples": samples}, overwrite)
        new = {source.label: source for source in results.todo(self.sources)}
        indices = {source.label: index for index, source in enumerate(self.sources)}
        return [self.write(indices[label], source, results) for label, source in new.items()]

    def write(self, index: int, source: Source, results: Writer, panels: bool = True) -> Row:
        """Write one image as `source`; its row of the summary, with an `error` where anything is not finite."""
        encoded = self.encoded
        row, mask = self.row(index, results.settings["certificate_samples"]), self.mask[index]
        values = (encoded.probabilities[index], mask, self.relevance[index])
        if not (all(bool(one.isfinite().all()) for one in values) and math.isfinite(row["distortion"])):
            return results.fail(source, f"{source.path}: the classifier's output or its gradient is not finite")
        tensors = {"mask": mask}
        if self.relevance is not self.mask:
            tensors["relevance"] = self.relevance[index]
        if self.signed is not None:
            tensors["signed"] = self.signed[index]
        panel = self._panel_png(index) if panels else None
        return results.add(source, row, self.picture[index], encoded.layout, tensors, panel)

    def _title(self, row: Row) -> list[str]:
        how = row["method"] + (f", {row['preset']}" if row["preset"] else "")
        if row["lambda_k"] != "":
            how += f", $\\lambda k$ = {row['lambda_k']:g}"
        if row["alpha"] is not None:
            how += f", $\\alpha$ = {row['alpha']:g}"
        measured = f"rate {row['rate']:.2%}"
        if "distortion" in row:
            distortion_name = (
                "distortion" if row["distortion_name"] == "label_l2" else f"distortion ({row['distortion_name']})"
            )
            measured += (
                f"    {distortion_name} {row['distortion']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]    "
                f"class {'retained' if row['retained'] else 'not retained'}"
            )
        extra = "".join(
            f"    {row[name]:.0f} {name}" if name == "passes" else f"    {name} {row[name]:.2%}" for name in self.extra
        )
        return [f"{row['class_name']}  ({row['probability']:.1%})", f"{how}    {measured}{extra}"]

    def __repr__(self) -> str:
        return "\n".join(line(source.label, self.row(index)) for index, source in enumerate(self.sources))

    def _repr_png_(self) -> bytes:
        from amortex.explaining.plots import stacked

        return stacked([self._panel_png(index) for index in range(min(len(self), MOST_SHOWN))])

    def _panel_png(self, index: int) -> bytes:
        from amortex.explaining.plots import png

        return png(self.panel(index))


def line(label: str, row: Row) -> str:
    """One image in one line."""
    measured = "not measured yet: certificate()"
    if "distortion" in row:
        measured = (
            f"distortion ({row['distortion_name']}) {row['distortion']:.4f} [{row['ci_low']:.4f}, {row['ci_high']:.4f}], "
            f"class {'' if row['retained'] else 'not '}retained"
        )
    return (
        f"{label}: {escape(row['class_name'])} {row['probability']:.1%}, rate {row['rate']:.2%}, {measured}, "
        f"{row['seconds']:.3g} s"
    )


def explain(
    explainer: Explainer,
    settings: dict[str, Any],
    sources: Sequence[Source],
    images: Tensor,
    target: Tensor | None = None,
    on_step: OnStep | None = None,
) -> ExplanationResult:
    """Explain images ``(B, C, H, W)`` in [0, 1] for classes `target` ``(B,)``, by default the predicted ones."""
    start = time.perf_counter()
    explanation = explainer.explain(images, target, on_step)
    explanation.mask.isfinite().tolist()  # waits for the device, so that the time below is the explainer's
    seconds = (time.perf_counter() - start) / len(images)
    return ExplanationResult(
        **vars(explanation), explainer=explainer, settings=settings, sources=sources, seconds=seconds
    )

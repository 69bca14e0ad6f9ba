"""The comparison as a Lightning module: images are sharded over devices, and sums are gathered across them."""

import json
import logging
import time
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from torch import Tensor, nn

from amortex.amortized.checkpoints import load_predictor
from amortex.classifiers.folder_labels import FolderLabels
from amortex.classifiers.size_notice import size_notice
from amortex.comparison.cache import ResultCache
from amortex.comparison.config import ComparisonConfig
from amortex.comparison.context import Context
from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.gallery import write_grids
from amortex.comparison.mistakes import Mistakes
from amortex.comparison.mixtures import Partners
from amortex.comparison.plan import Plan
from amortex.comparison.report import ComparisonResults, write_report
from amortex.comparison.scale_profiles import build_classifiers
from amortex.comparison.signal_gallery import write_signals
from amortex.comparison.stopwatch import Stopwatch
from amortex.comparison.study import Measurements
from amortex.comparison.tables import ComparisonTables
from amortex.core.errors import InputError
from amortex.core.modalities import modality_of
from amortex.core.process import ends_at_once
from amortex.metrics import Interval, bootstrap_seeds
from amortex.rate_distortion.problem import Problem

logger = logging.getLogger(__name__)
DEFAULT_PROBLEM = Problem(internal_batch_size=64)  # a constant, since the command line shows the signature
# a trained explainer is measured as the comparison measures, not as its file says
MEASURED_ALIKE = ("wavelet", "levels", "padding", "obfuscation", "distortion", "internal_batch_size")

LONG = 10.0  # seconds that a row takes for its first batch, from which on this is printed: the bar counts batches alone
NOT_FINITE = "the classifier's output is not finite"
SILENT = "nothing but digital silence"


class Comparison(lightning.LightningModule):
    """Compares explainers on the validation signals of a `SignalData`, and leaves a report.

    Arguments:
        problem: what is explained, and how masks are measured; its distortion is the objective of RDE methods.
        **settings: fields of a `ComparisonConfig`.

    Raises:
        InputError: unknown names, values out of range, or explainers that belong to another classifier or transform.

    >>> Comparison(Problem(input_size=128), methods=("cartoonx", "gradcam"))  # doctest: +SKIP
    """

    def __init__(self, problem: Problem = DEFAULT_PROBLEM, **settings: Any) -> None:
        super().__init__()
        self.config, self.classifier = ComparisonConfig(**settings), problem.build_classifier()
        if notice := size_notice(self.classifier):
            logger.warning(notice)
        self.problem = problem = problem.resolved(len(self.classifier.input_size) - 1)
        self.save_hyperparameters({"problem": problem.settings(), **self.config.settings()})
        alike = {name: getattr(problem, name) for name in MEASURED_ALIKE}
        files = self.config.explainers or {}
        predictors = {name: load_predictor(path, self.classifier, **alike) for name, path in files.items()}
        self.predictors = nn.ModuleList(predictors.values())  # to move with the module
        classifiers = build_classifiers(self.config, problem, self.classifier)
        self.classifiers = nn.ModuleList(classifiers.values())  # the same
        self.plan = Plan(self.config, problem, self.classifier, predictors, classifiers)
        self.tables = ComparisonTables(self.config, self.plan.studies)
        self.cache = ResultCache(None if self.config.cache is None else Path(self.config.cache))
        self.stopwatch, self.folder = Stopwatch(), Path(self.config.out)
        self.unavailable = dict(self.plan.unavailable)  # section and row -> why
        self.failed: dict[str, str] = {}  # name of an image -> why it is left out
        self.told: set[tuple[str, str]] = set()  # rows of which it is known how long they take
        self.gallery: dict[str, str] = {}  # what the report shows of images
        self.partners: Partners | None = None
        self.mistakes: Mistakes | None = None  # of the section of that name

    @property
    def data_config(self) -> dict[str, Any]:
        """Of the signals that the classifier takes; the data module needs it."""
        return self.classifier.signal_config

    @property
    def noun(self) -> str:
        """What is compared: images, sounds or volumes."""
        return modality_of(len(self.data_config["input_size"]) - 1).noun

    def on_test_start(self) -> None:
        dataset = cast(Any, self.trainer.test_dataloaders).dataset
        if "mistakes" in self.config.sections:
            labels, source = FolderLabels(self.classifier), dataset.signals.source
            labels.check(source.name(index) for index in range(len(source)))
            methods, most = self.plan.mistake_methods, self.config.mistakes
            self.mistakes = Mistakes(self.folder, labels, methods, most, self.config.samples, self.unavailable)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._image_rows(self.global_rank).write_text("")
        self.partners = Partners(dataset, self.classifier)

    def _image_rows(self, rank: int) -> Path:
        """The file of what a process measured of each image."""
        return self.folder / f".images-{rank}.jsonl"

    @ends_at_once()
    def test_step(self, batch: dict[str, Any], batch_index: int) -> None:
        with self.stopwatch.counter.watch(self.classifier):
            signal, names, indices = self._usable(batch)
            if len(signal):
                partners = self.partners
                others = None if partners is None else lambda signals: partners.of(signals, indices)
                explained = ExplainedBatch(signal, self.cache, self.stopwatch, others, self.classifier.front_end)
                measurements = self._measure(explained)
                self.tables.update(measurements, bootstrap_seeds(signal))
                self._write_rows(names, measurements)
                self._write_gallery(explained, names, indices, measurements)
                if self.mistakes is not None:
                    with torch.no_grad():
                        predicted = self.classifier(explained.image).argmax(1)
                    self.mistakes.collect(explained, predicted, names, indices)

    @torch.no_grad()
    def _usable(self, batch: dict[str, Any]) -> tuple[Tensor, list[str], list[int]]:
        """Signals whose class is known, with their names and numbers; the report lists the others."""
        numbers = batch["index"].tolist()
        names = [str(name) for name in batch.get("name") or numbers]
        logits = self.classifier(self.classifier.front_end(batch["image"]))
        finite = logits.isfinite().all(1).tolist()
        self.failed |= {name: NOT_FINITE for name, usable in zip(names, finite, strict=True) if not usable}
        if batch["image"].ndim == 3:  # a black picture is one, silence is no sound
            heard = batch["image"].flatten(1).any(1).tolist()
            self.failed |= {name: SILENT for name, sounds in zip(names, heard, strict=True) if not sounds}
        indices = [index for index, name in enumerate(names) if name not in self.failed]
        return batch["image"][indices], [names[index] for index in indices], [numbers[index] for index in indices]

    def _measure(self, batch: ExplainedBatch) -> dict[tuple[str, str], Measurements]:
        """What the studies measure of a batch, by section and row, but for methods that are not available."""
        measurements: dict[tuple[str, str], Measurements] = {}
        for study in self.plan.studies:
            key = (study.section, study.name)
            if key not in self.unavailable:
                start = time.perf_counter()
                try:
                    measurements[key] = study.measure(batch)
                except InputError as error:  # this method cannot explain this classifier
                    self.unavailable[key] = str(error)
                if (seconds := time.perf_counter() - start) > LONG and key not in self.told:
                    self.told.add(key)
                    label = self.plan.shown[study.name].label if study.name in self.plan.shown else study.name
                    self.print(f"{label} ({study.section}): {len(batch.signal)} {self.noun}s took {seconds:.0f} s")
        return measurements

    def _write_rows(self, names: list[str], measurements: dict[tuple[str, str], Measurements]) -> None:
        with open(self._image_rows(self.global_rank), "a", encoding="utf-8") as file:
            for (section, row), measured in measurements.items():
                for name, values in zip(names, measured.rows(), strict=True):
                    file.write(json.dumps({"image": name, "table": section, "row": row, **values}) + "\n")

    def _write_gallery(
        self,
        batch: ExplainedBatch,
        names: list[str],
        numbers: list[int],
        measurements: dict[tuple[str, str], Measurements],
    ) -> None:
        """Files of the first images, by the methods that explain them."""
        shown = {position: number for position, number in enumerate(numbers) if number < self.config.gallery}
        if not shown:
            return
        with self.stopwatch.section("pictures"):
            methods = [method for method in self.plan.methods if ("native", method.name) in measurements]
            if batch.signal.ndim == 4:
                self.gallery |= write_grids(self.folder, batch, methods, shown)
                self.gallery |= write_grids(self.folder, batch, self.plan.grid_methods, shown, "settings_")
                return
            signals = {position: (number, names[position]) for position, number in shown.items()}
            self.gallery |= write_signals(self.folder, batch, methods, signals)
            for section, candidates in self.plan.mixture_methods.items():
                of_section = [method.for_target() for method in candidates if (section, method.name) in measurements]
                if of_section:
                    classes = of_section[0].explainer.rate_distortion.encode(batch.image).target
                    mixed = batch.mixed(section)
                    self.gallery |= write_signals(self.folder, mixed, of_section, signals, section, classes)

    def on_test_epoch_end(self) -> None:
        unreadable = getattr(cast(Any, self.trainer).datamodule, "left_out", {})
        left_out = {**{name: f"not a readable {self.noun} ({why})" for name, why in unreadable.items()}, **self.failed}
        unavailable, failed, galleries = map(gather, (self.unavailable, left_out, self.gallery))
        mistakes = gather(self.mistakes.findings) if self.mistakes is not None else []
        reasons = {key: reason for part in unavailable for key, reason in part.items()}
        tables, gaps, break_evens = self.tables.compute(), self.tables.gaps(), self.tables.break_evens()
        leaders = self.tables.leaders(without=reasons)
        if not self.trainer.is_global_zero:
            return
        for section, name in reasons:  # what other batches or devices found is no mean over the images
            table = tables.get(section, {})
            table[name] = dict.fromkeys(table.get(name, {}), Interval(torch.nan, torch.nan, torch.nan, 0))
        results = ComparisonResults(
            tables, gaps, break_evens, reasons, {name: why for part in failed for name, why in part.items()},
            [text for _, text in sorted(entry for part in galleries for entry in part.items())], leaders, mistakes,
        )  # fmt: skip
        context = Context(self.problem, self.config, self.plan.shown, self.classifier)
        write_report(self.folder, results, context, self.stopwatch)
        with open(self.folder / "images.jsonl", "w", encoding="utf-8") as file:
            for rank in range(self.trainer.world_size):
                file.write(self._image_rows(rank).read_text(encoding="utf-8"))
                self._image_rows(rank).unlink()


def gather(value: Any) -> list[Any]:
    """The values of all processes."""
    if not torch.distributed.is_initialized():
        return [value]
    values = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values

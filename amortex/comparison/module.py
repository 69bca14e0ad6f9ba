"""The comparison as a Lightning module: images are sharded over devices, figures summed across them."""

import json
import math
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from amortex.amortized.checkpoints import load_predictor
from amortex.comparison.bench import Batch
from amortex.comparison.effort import TEACHER
from amortex.comparison.gallery import write_gallery
from amortex.comparison.plan import ALL, Plan
from amortex.comparison.report import Findings, write_report
from amortex.comparison.stopwatch import Stopwatch
from amortex.comparison.store import Store
from amortex.comparison.studies import Study, figures
from amortex.core.errors import InputError
from amortex.core.process import ends_at_once
from amortex.metrics import AmortizationGap, BreakEven, ImageMean, Interval, seeds_of
from amortex.rate_distortion.problem import Problem

PROBLEM = Problem(internal_batch_size=64)  # a constant, since the signature shows it to the command line
# a trained explainer is measured as the comparison measures, not as its file says
OF_EXPLAINERS = ("wavelet", "levels", "padding", "obfuscation", "distortion", "internal_batch_size")


class Comparison(lightning.LightningModule):
    """Compares explainers on the validation images of an `ImageData`, and leaves a report.

    Arguments:
        problem: what is explained, and how masks are measured; its distortion is the objective of RDE methods.
        sections: what to measure: ``methods`` (tables and curves), ``leakage``, ``sanity``, ``scales``, ``effort``
            (quality against compute) and ``grid`` (CartoonX's settings).
        methods: exact, classical and trivial methods, by the names that `explain.py` knows.
        explainers: trained explainers, checkpoints or release folders, by the name of their row.
        refine: refinement steps of the trained explainers; a row for each, beside that without.
        training_seconds: what training each explainer took, by its name, for the break-even.
        leaking, checked: methods of the leakage and the sanity section.
        lambda_k: sparsity weights of RDE methods and trained explainers; a row for each.
        effort_lambda_k, budgets: of the section ``effort``: sparsity weights, and classifier passes per image.
        preset: how RDE methods optimise.
        samples: noise draws per mask.
        insertion_steps: intervals of insertion and deletion.
        subsets: random subsets of mu-fidelity.
        gallery: how many images are shown.
        out: folder of the report.
        cache: folder that keeps explanations and figures by content, so that a rerun costs nothing; null for none.
        seed: of the explainers.

    Raises:
        InputError: unknown names, or explainers that belong to another classifier or transform.
    """

    def __init__(
        self,
        problem: Problem = PROBLEM,
        sections: tuple[str, ...] = ("methods", "leakage", "sanity", "scales"),
        methods: tuple[str, ...] = ALL,
        explainers: dict[str, str] | None = None,
        refine: tuple[int, ...] = (20,),
        training_seconds: dict[str, float] | None = None,
        leaking: tuple[str, ...] = ("cartoonx", "wam_sg", "gradcam"),
        checked: tuple[str, ...] = ("wam_sg", "wam_ig"),
        lambda_k: tuple[float, ...] = (5.0,),
        effort_lambda_k: tuple[float, ...] = (1.0, 2.5, 5.0, 10.0),
        budgets: tuple[int, ...] = (4, 16, 34, 64, 124, 256),
        preset: str = "converged",
        samples: int = 64,
        insertion_steps: int = 64,
        subsets: int = 128,
        gallery: int = 4,
        out: str = "report",
        cache: str | None = "report/cache",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not lambda_k or min(samples, insertion_steps, subsets) < 2:
            raise InputError("give a lambda_k, and samples, insertion_steps, subsets of at least 2")
        if not all(0 <= value < math.inf for value in lambda_k):
            raise InputError(f"lambda_k must be numbers of at least 0, not {lambda_k}")
        if min(effort_lambda_k, default=0.0) <= 0 or min(budgets, default=0) < 1:
            raise InputError("effort_lambda_k must be above 0, and budgets at least 1")
        self.save_hyperparameters(ignore="problem")
        self.problem, self.classifier = problem, problem.build_classifier()
        same = {name: getattr(problem, name) for name in OF_EXPLAINERS}
        predictors = {name: load_predictor(path, self.classifier, **same) for name, path in (explainers or {}).items()}
        if "leakage" in sections and self.classifier.num_classes < 2:
            raise InputError("leakage is about other classes, and this classifier has one: leave out that section")
        self.plan = Plan(self.hparams, problem, self.classifier, predictors)
        for name in training_seconds or {}:
            if name not in predictors or "cartoonx" not in methods or "methods" not in sections:
                raise InputError(
                    f"the break-even of {name!r} needs an explainer of that name, cartoonx among the methods, and the "
                    "section methods"
                )
        self.studies = self.plan.studies
        self.watch = Stopwatch([self.classifier, self.classifier.model, *(p.backbone for p in predictors.values())])
        self.store = Store(None if cache is None else Path(cache))
        self.folder = Path(out)
        self.predictors = nn.ModuleList(predictors.values())  # to move with the module, as do the states below
        self.tables = [ImageMean(study.columns) for study in self.studies]
        self.gaps = {s.name: AmortizationGap() for s in self.studies if s.section == "effort" and s.name != TEACHER}
        self.breaks = {name: BreakEven(seconds) for name, seconds in (training_seconds or {}).items()}
        self.summed = nn.ModuleList([*self.tables, *self.gaps.values(), *self.breaks.values()])
        self.unavailable: dict[tuple[str, str], str] = {}  # section, row -> why
        self.failed: list[str] = []
        self.pictures: list[str] = []  # of the gallery, as written

    @property
    def data_config(self) -> dict[str, Any]:
        """Of the classifier; the data module needs it."""
        return self.classifier.data_config

    def on_test_start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._rows(self.global_rank).write_text("")

    def _rows(self, rank: int) -> Path:
        return self.folder / f".images-{rank}.jsonl"

    @ends_at_once()
    def test_step(self, batch: dict[str, Any], batch_index: int) -> None:
        image, names, indices = self._usable(batch)
        if not len(image):
            return
        work, seeds, lines = Batch(image, self.store, self.watch), seeds_of(image), []
        found: dict[tuple[str, str], Tensor] = {}
        for study, mean in zip(self.studies, self.tables, strict=True):
            values = self._figures(study, work)
            if values is None:
                continue
            mean.update(values, seeds)
            found[study.section, study.name] = values
            for name, row in zip(names, values.tolist(), strict=True):
                figures = dict(zip(study.columns, row, strict=True))
                lines.append(json.dumps({"image": name, "table": study.section, "row": study.name, **figures}) + "\n")
        with open(self._rows(self.global_rank), "a", encoding="utf-8") as file:
            file.writelines(lines)
        self._compare(found, seeds)
        shown = [place for place, index in enumerate(indices) if index < self.hparams["gallery"]]
        if shown:
            with self.watch.section("pictures"):
                measured = {name for section, name in found if section == "native"}
                methods = [m for m in self.plan.methods if m.name in measured]
                places = {place: indices[place] for place in shown}
                self.pictures += write_gallery(self.folder, work, methods, self.plan.varied, places)

    @torch.no_grad()
    def _usable(self, batch: dict[str, Any]) -> tuple[Tensor, list[str], list[int]]:
        """Those images, with names and places, whose class is known; others are listed in the report."""
        indices = batch["index"].tolist()
        names = [str(name) for name in batch.get("name") or indices]
        good = self.classifier(batch["image"]).isfinite().all(1).tolist()
        self.failed += [name for name, fine in zip(names, good, strict=True) if not fine]
        kept = [place for place, fine in enumerate(good) if fine]
        return batch["image"][kept], [names[place] for place in kept], [indices[place] for place in kept]

    def _figures(self, study: Study, work: Batch) -> Tensor | None:
        """Figures of a batch, from the store where all its images have them; None where the method is not available."""
        if (study.section, study.name) in self.unavailable:
            return None
        try:
            return figures(study, work)
        except InputError as error:  # this method cannot explain this classifier
            self.unavailable[study.section, study.name] = str(error)
            return None

    def _compare(self, found: dict[tuple[str, str], Tensor], seeds: tuple[int, ...]) -> None:
        """What takes two rows: gaps and break-evens."""
        count = len(self.hparams["effort_lambda_k"])
        teacher = found.get(("effort", TEACHER))
        for name, gap in self.gaps.items():
            own = found.get(("effort", name))
            if teacher is not None and own is not None:
                gap.update(own[:, :count], teacher[:, :count], seeds)
        for name, even in self.breaks.items():
            exact, own = (found["native", self.plan.first(one)][:, -2] for one in ("cartoonx", name))
            even.update(exact, own, seeds)  # the last columns are seconds and passes

    def on_test_epoch_end(self) -> None:
        tables: dict[str, dict[str, dict[str, Interval]]] = {}
        for study, mean in zip(self.studies, self.tables, strict=True):
            tables.setdefault(study.section, {})[study.name] = mean.compute()
        gaps = {name: gap.compute() for name, gap in self.gaps.items()}
        breaks = {name: even.compute()["images"] for name, even in self.breaks.items()}
        unavailable, failed, pictures = gather(self.unavailable), gather(self.failed), gather(self.pictures)
        if not self.trainer.is_global_zero:
            return
        reasons = {row: reason for one in unavailable for row, reason in one.items()}
        for section, name in reasons:  # what other batches or devices found is no mean over the images
            row = tables[section][name]
            tables[section][name] = dict.fromkeys(row, Interval(torch.nan, torch.nan, torch.nan, 0))
        failed, pictures = ([name for one in lists for name in one] for lists in (failed, pictures))
        findings = Findings(tables, gaps, breaks, reasons, failed, sorted(pictures))
        write_report(self.folder, findings, {**self.problem.settings(), **self.hparams}, self.plan.methods, self.watch)
        with open(self.folder / "images.jsonl", "w", encoding="utf-8") as file:
            for rank in range(self.trainer.world_size):
                file.write(self._rows(rank).read_text(encoding="utf-8"))
                self._rows(rank).unlink()


def gather(value: Any) -> list[Any]:
    """The values of all processes."""
    if not torch.distributed.is_initialized():
        return [value]
    values = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values

"""The section ``mistakes``: explanations of the predicted class beside those of the true one (CartoonX, Fig. 5)."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from torch import Tensor

from amortex.classifiers.folder_labels import FolderLabels
from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.methods import Method
from amortex.comparison.signal_gallery import as_result
from amortex.core.errors import InputError
from amortex.explaining.figures import stack
from amortex.explaining.saving import panel_png
from amortex.io.files import write_atomically
from amortex.metrics import OperatingPoint

HEAD = "| signal | method | class | probability | J | rate | distortion |\n|---|---|---|---|---|---|---|"


@dataclass(frozen=True)
class MistakeRow:
    """One class of a misclassified signal as one method explains it: a row of ``mistakes.csv``."""

    image: str
    method: str
    role: str  # predicted or true
    class_name: str
    probability: float
    objective: float
    rate: float
    distortion: float

    def as_markdown(self, label: str) -> str:
        values = f"{self.objective:.3f} | {self.rate:.2%} | {self.distortion:.3f}"
        return f"| {self.image} | {label} | {self.class_name} ({self.role}) | {self.probability:.1%} | {values} |"


@dataclass
class Findings:
    """What a process has found: numbers of signals, rows, and paragraphs of the report by keys that order them."""

    labelled: int = 0
    misclassified: int = 0
    rows: list[MistakeRow] = field(default_factory=list)
    gallery: dict[str, str] = field(default_factory=dict)


class Mistakes:
    """Finds and explains misclassified signals.

    Arguments:
        folder: of the report.
        labels: true classes.
        methods: that explain.
        most: misclassified signals that are explained, in each process.
        samples: noise draws per mask.
        unavailable: where it notes methods that cannot explain the classifier, by section and row.
    """

    def __init__(
        self,
        folder: Path,
        labels: FolderLabels,
        methods: Sequence[Method],
        most: int,
        samples: int,
        unavailable: dict[tuple[str, str], str],
    ) -> None:
        self.folder, self.labels, self.methods = folder, labels, methods
        self.most, self.samples, self.unavailable = most, samples, unavailable
        self.findings = Findings()

    def collect(self, batch: ExplainedBatch, predicted: Tensor, names: Sequence[str], numbers: Sequence[int]) -> None:
        """Count the misclassified signals of a batch, whose predicted classes are ``(B,)``, and explain the first."""
        for position, (name, number) in enumerate(zip(names, numbers, strict=True)):
            true = self.labels.of(name)
            self.findings.labelled += true is not None
            if true is None or true == int(predicted[position]):
                continue
            self.findings.misclassified += 1
            if len(self.findings.gallery) < self.most:
                self._explain(batch.of([position]), predicted.new_tensor([true]), name, number)

    def _explain(self, batch: ExplainedBatch, true: Tensor, name: str, number: int) -> None:
        """Write the panels of one signal, the predicted class above the true one, and note what they achieve."""
        (self.folder / "gallery").mkdir(exist_ok=True)
        blocks = [f"### {name}"]
        for method in self.methods:
            try:
                results = [as_result(batch, method), as_result(batch, method.for_target(), true)]
            except InputError as error:  # this method cannot explain this classifier
                self.unavailable["mistakes", method.name] = str(error)
                continue
            rd = method.explainer.rate_distortion
            point = OperatingPoint(rd, method.lambda_k or 0.0, self.samples)
            for role, result in zip(("predicted", "true"), results, strict=True):
                measured = dict(zip(point.columns, point.evaluate(result)[0].tolist(), strict=True))
                row = result.row(0)
                figures = (row["probability"], measured["objective"], measured["rate"], measured["distortion"])
                self.findings.rows.append(MistakeRow(name, method.name, role, row["class_name"], *figures))
            path = f"gallery/mistake_{number}_{method.file_name}.png"
            write_atomically(self.folder / path, stack([panel_png(result) for result in results]))
            predicted_name, true_name = (result.row(0)["class_name"] for result in results)
            caption = f"{method.shown.label}: {predicted_name} (predicted) above {true_name} (true)"
            blocks.append(f"![{caption}]({path})\n\n*{caption}*")
        self.findings.gallery[f"{number:06}"] = "\n\n".join(blocks)


def mistake_texts(parts: Sequence[Findings], labels: dict[str, str], noun: str) -> list[str]:
    """What the report says of the mistakes that all processes found."""
    labelled, misclassified = (sum(getattr(part, name) for part in parts) for name in ("labelled", "misclassified"))
    gallery = [text for _, text in sorted(entry for part in parts for entry in part.gallery.items())]
    rows = [row.as_markdown(labels.get(row.method, row.method)) for part in parts for row in part.rows]
    return [
        "## Misclassified",
        f"{misclassified} of {labelled} {noun}s in folders that are named after classes are misclassified; "
        f"{len(gallery)} of them are explained. Panels show the predicted class above the true one. J is that of each "
        "method's lambda_k, 0 where it has none; the distortion of a class that is not predicted is `label_max`. "
        "Explainers without learned steps for other classes give masks of true classes in one pass.",
        *(["\n".join([HEAD, *rows])] if rows else []),
        *gallery,
    ]


def mistakes_csv(parts: Sequence[Findings]) -> bytes:
    """``mistakes.csv``: a row for each signal, method and class."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [column.name for column in fields(MistakeRow)])
    writer.writeheader()
    writer.writerows(asdict(row) for part in parts for row in part.rows)
    return buffer.getvalue().encode()

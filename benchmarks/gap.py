"""The amortization gap: the objective after a budget of classifier passes, over that of CartoonX `converged`.

    python benchmarks/gap.py FOLDER [--explainer NAME=FILE ...] --images 8 --lambda-k 2.5 10

Every fifth photograph of the sorted folder, at the classifier's own size. A forward pass counts 1, forward and backward
3. What has been computed is kept in `--cache`, so that another explainer costs only its own rows. `GAP.md` beside this
file keeps the log of what was tried.
"""

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from amortex.amortized.checkpoints import load_predictor
from amortex.amortized.released import released
from amortex.classifiers.classifier import load_classifier
from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.comparison.bench import Batch
from amortex.comparison.effort import TEACHER, effort
from amortex.comparison.stopwatch import Stopwatch
from amortex.comparison.store import Store
from amortex.comparison.studies import Protocol, figures
from amortex.core.process import prepare
from amortex.io.images import Preprocess, find_images
from amortex.metrics import AmortizationGap, Interval, seeds_of
from amortex.rate_distortion.pipeline import RateDistortion

EVERY = 5
BATCH = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--explainer", nargs="*", default=[], metavar="NAME=FILE", help="default: the released one")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--size", type=int, help="default: the classifier's own")
    parser.add_argument("--lambda-k", type=float, nargs="+", default=[2.5, 10.0])
    parser.add_argument("--budgets", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--samples", type=int, default=64, help="noise draws per mask")
    parser.add_argument("--cache", type=Path, default=Path("gap_cache"))
    options = parser.parse_args()
    prepare()
    classifier = load_classifier(DEFAULT_CLASSIFIER, input_size=options.size)
    rd = RateDistortion(classifier)
    named = dict(one.split("=", 1) for one in options.explainer) or {"amortized": released(DEFAULT_CLASSIFIER)}
    predictors = {name: load_predictor(path, classifier) for name, path in named.items() if path}
    watch = Stopwatch([classifier, classifier.model, *(p.backbone for p in predictors.values())])
    studies = list(effort(rd, predictors, Protocol(options.samples), options.lambda_k, options.budgets))
    paths = [source.path for source in find_images([options.folder])][::EVERY][: options.images]
    image = torch.stack([Preprocess(classifier.data_config).load(path) for path in paths])
    store, gaps = Store(options.cache), {study.name: AmortizationGap() for study in studies}
    with tqdm(total=len(studies) * -(-len(image) // BATCH), disable=None) as bar:
        for chunk in image.split(BATCH):
            batch, teacher = Batch(chunk, store, watch), torch.empty(0)
            for study in studies:
                values = figures(study, batch)
                teacher = values if study.name == TEACHER else teacher
                gaps[study.name].update(values[:, :-1], teacher[:, :-1], seeds_of(chunk))
                bar.update()
    show({name: gap.compute()["gap"] for name, gap in gaps.items()}, options.budgets)


def show(gaps: dict[str, Interval], budgets: list[int]) -> None:
    """A row per start, a column per budget."""
    print("| start | " + " | ".join(f"{budget} passes" for budget in budgets) + " |")
    print("|---|" + "---|" * len(budgets))
    rows: dict[str, dict[str, Interval]] = {}
    for name, gap in gaps.items():
        start, _, budget = name.partition("@")
        rows.setdefault(start, {})[budget] = gap
    for start, row in rows.items():
        print(f"| {start} | " + " | ".join(str(row.get(str(b), row.get("", ""))) for b in budgets) + " |")


if __name__ == "__main__":
    main()

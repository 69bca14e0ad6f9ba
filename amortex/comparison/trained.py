"""The rows of trained explainers."""

from collections.abc import Iterator, Mapping, Sequence

from amortex.amortized.explainer import Amortized
from amortex.amortized.predictor import MaskPredictor
from amortex.comparison.config import row_name
from amortex.comparison.effort import expected_passes, trained_label
from amortex.comparison.methods import Method


def trained_methods(
    predictors: Mapping[str, MaskPredictor],
    all_lambda_k: Sequence[float],
    finetune_steps: Sequence[int],
    select_rate: bool,
    seed: int,
) -> Iterator[Method]:
    """Trained explainers after one pass and CartoonX steps, and with the learned steps that they have.

    Arguments:
        predictors: by the names of their rows.
        all_lambda_k: sparsity weights; a row for each.
        finetune_steps: numbers of CartoonX steps; a row for each.
        select_rate: whether rates are measured instead of predicted.
        seed: of the explainers.
    """
    for name, predictor in predictors.items():
        title = trained_label(name)
        for lambda_k in all_lambda_k:
            rows: dict[tuple[str, str], Amortized] = {}  # by name and label
            for steps in finetune_steps:
                row, how = (f"{name} + {steps} steps", f"{title} + CartoonX") if steps else (name, title)
                rows[row, f"{how} ({expected_passes(predictor, steps)} passes)"] = Amortized(
                    predictor, lambda_k, select_rate=select_rate, learned_steps=0, finetune_steps=steps, seed=seed
                )
            if predictor.decoder.refiner is not None:
                explainer = Amortized(predictor, lambda_k, seed=seed)
                steps = explainer.learned_steps
                label = f"{title} ({expected_passes(predictor, steps, draws=1)} passes)"
                rows[f"{name} + {steps} learned steps", label] = explainer
            for (row, label), explainer in rows.items():
                names = (row_name(row, lambda_k, all_lambda_k), row_name(label, lambda_k, all_lambda_k, "λk"))
                yield Method(names[0], explainer, "amortized", lambda_k, names[1])

"""Training that starts from the weights of another explainer."""

from pathlib import Path

from amortex.amortized.checkpoints import read
from amortex.amortized.config import PATH_WEIGHTS, REFINER_WEIGHTS, RefinementSchedule
from amortex.amortized.predictor import MaskPredictor
from amortex.amortized.widening import sees_features, widened
from amortex.core.errors import InputError

LEARNED_LATER = (REFINER_WEIGHTS, PATH_WEIGHTS)  # these may stay untrained


def start_from(predictor: MaskPredictor, start: str | Path | None) -> None:
    """Give a predictor the weights of a checkpoint or release; learned steps that those have not stay untrained.

    Where the predictor sees the classifier's features and those weights none, it begins to see them.

    Raises:
        InputError: they belong to another classifier or transform, or to a predictor that is built otherwise; steps of
            densification paths are to be learned without a trained refiner, or its schedule is another.
    """
    if not start:
        if predictor.decoder.path is not None:
            raise InputError("path_steps are learned on top of a trained explainer: give it with model.start")
        return
    settings, identity, weights = read(Path(start))
    predictor.refuse_others(identity)
    untrained = predictor.decoder.state_dict()
    if predictor.decoder.path is not None:
        if not any(key.startswith(REFINER_WEIGHTS) for key in weights):
            raise InputError(f"{start} has learned no refinement, on top of which path_steps are learned")
        if predictor.schedule != RefinementSchedule.trained_by(settings["refinement"]):
            raise InputError(
                f"the refiner of {start} was trained with other settings of refinement: give its unrolled and "
                "other_targets"
            )
    if predictor.config.encoder is None and sees_features(untrained) and not sees_features(weights):
        weights = widened(weights, predictor.decoder)
    mismatched = [key for key in untrained if key in weights and weights[key].shape != untrained[key].shape]
    missing = [key for key in untrained if key not in weights and not key.startswith(LEARNED_LATER)]
    if mismatched or missing:
        raise InputError(
            f"{start} is built otherwise ({(mismatched + missing)[0]}): give its settings of the predictor, or train "
            "without start"
        )
    predictor.decoder.load_state_dict({**untrained, **{key: weights[key] for key in untrained if key in weights}})

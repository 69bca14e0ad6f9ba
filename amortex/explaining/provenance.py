"""What determines results, as plain values: they are written beside the results, and compared before a run resumes."""

import hashlib
from typing import Any

from amortex.core.version import __version__
from amortex.rate_distortion.pipeline import RateDistortion


def provenance(rd: RateDistortion) -> dict[str, Any]:
    """Everything about a classifier and its pipeline that determines measurements, as plain values."""
    classifier = rd.classifier
    return {
        **rd.identity(),
        "weights": classifier.weights,
        "model_args": classifier.model_args,
        "class_names_digest": hashlib.blake2b(repr(classifier.class_names).encode(), digest_size=8).hexdigest(),
        "batch_invariant": rd.batch_invariant,
        "amortex": __version__,
    }

"""What is said of inputs whose size is far from that of the classifier's training."""

from amortex.classifiers.classifier import Classifier

PRETRAINED = ("embedded", "timm")  # weights whose data config is known to be that of their training
MOST_SCALING = 2  # of the side of inputs, from that of training


def size_notice(classifier: Classifier) -> str:
    """A sentence where inputs are much smaller or larger than those that the weights are known to be of; else empty."""
    known = (getattr(classifier.model, "pretrained_cfg", None) or {}).get("input_size")
    if known is None or classifier.weights not in PRETRAINED or classifier.data_config.get("lengths"):
        return ""
    here, trained = (max(size[1:]) for size in (classifier.input_size, known))
    if 1 / MOST_SCALING <= here / trained <= MOST_SCALING:
        return ""
    trained_on, at = ("x".join(map(str, size[1:])) for size in (known, classifier.input_size))
    return f"{classifier.name} was trained on inputs of {trained_on}: at {at} its classes are unreliable"

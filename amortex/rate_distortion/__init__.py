"""Rate and distortion of masks: the pipeline from signals to both, and the description of a problem."""

from typing import Literal

DistortionName = Literal["label_l2", "label_max", "l2", "kl"]
CONFIDENCE = 0.95  # of all intervals

"""What holds where nothing is said of a classifier: one whose ImageNet weights come with the installation."""

from typing import Literal

Activation = Literal["softmax", "sigmoid", "none"]
DEFAULT_CLASSIFIER = "tf_efficientnet_lite0"

"""The default classifier, whose ImageNet weights come with the installation; this module imports nothing heavy."""

from typing import Literal

Activation = Literal["auto", "softmax", "sigmoid", "none"]
HF_AUDIO = "hf-audio:"  # before the name of a classifier of sounds from transformers
DEFAULT_CLASSIFIER = "tf_efficientnet_lite0"

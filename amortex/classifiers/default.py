"""The classifier that is explained when none is named: its ImageNet weights come with the installation."""

DEFAULT_CLASSIFIER = "tf_efficientnet_lite0"

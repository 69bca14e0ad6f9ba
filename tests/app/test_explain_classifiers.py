"""`explain.py` on classifiers that tell of themselves: grey ones, ones that end in softmax."""

import json

from amortex.app.explain_cli import main
from helpers.explaining import FAST, rows
from helpers.photographs import photographs

SMALL = ("--method", "cartoonx", "--levels", "2", "--certificate-samples", "4", "--device", "cpu", "--no-panels",
         "--quiet", *FAST)  # fmt: skip


def explain(tmp_path, *options: str) -> dict:
    """The settings beside the results."""
    folder = photographs(tmp_path / "in", "a.png")
    assert main([str(folder), *SMALL, "--out", str(tmp_path / "out"), *options]) == 0
    assert [row["error"] for row in rows(tmp_path / "out")] == [""]
    return json.loads((tmp_path / "out" / "settings.json").read_text())


def test_a_grey_classifier_needs_no_arguments(tmp_path):
    settings = explain(tmp_path, "--classifier", "helpers.networks.Grey", "--input-size", "32")
    assert settings["classifier_input_size"] == [1, 32, 32]
    assert settings["classifier_mean"] == [0.449]


def test_sizes_with_channels_build_the_network_for_them(tmp_path):
    settings = explain(tmp_path, "--classifier", "test_efficientnet", "--weights", "random", "--input-size", "1", "32",
                       "32")  # fmt: skip
    assert settings["classifier_input_size"] == [1, 32, 32]


def test_settings_hold_the_activation_that_is_used(tmp_path):
    tiny = ("--classifier", "helpers.networks.TinyNet", "--input-size", "32")
    assert explain(tmp_path, *tiny)["activation"] == "softmax"
    (tmp_path / "other").mkdir()
    assert explain(tmp_path / "other", *tiny, "--activation", "sigmoid")["activation"] == "sigmoid"
    (tmp_path / "softmax").mkdir()
    network = ("--classifier", "helpers.networks.EndsInSoftmax", "--input-size", "32")
    assert explain(tmp_path / "softmax", *network)["activation"] == "none"

"""Which kind of signals is meant, and which classifier, method and folder follow from that."""

from pathlib import Path

import pytest
from PIL import Image

from amortex.app.checks import complete, default_folder
from amortex.app.explain_cli import main
from amortex.app.options import build_parser
from amortex.core.errors import InputError


def options(*words: str):
    parsed = build_parser().parse_args(list(words))
    complete(parsed)
    return parsed


def test_the_kind_of_signals_is_recognised(signals):
    Image.new("RGB", (8, 8)).save("c.png")
    for words, modality, classifier in (
        ((), "image", "tf_efficientnet_lite0"),
        (("c.png",), "image", "tf_efficientnet_lite0"),
        (("audio",), "audio", "yamnet"),
        (("volume/a.npy",), "volume", "digits3d"),
        (("--modality", "audio"), "audio", "yamnet"),
        (("--classifier", "digits3d"), "volume", "digits3d"),
        (("--classifier", "moving_digits"), None, "moving_digits"),  # the network tells
        ((".", "--modality", "volume"), "volume", "digits3d"),
        (("audio", "--classifier", "some.module.Class"), "audio", "some.module.Class"),
        (("--classifier", "some.module.Class", "--input-size", "1", "100"), "audio", "some.module.Class"),
        (("--classifier", "some.module.Class"), None, "some.module.Class"),
    ):
        chosen = options("--method", "cartoonx", *words)
        assert (chosen.modality, chosen.classifier) == (modality, classifier), words
    with pytest.raises(InputError, match="1 image and 3 sounds and 3 volumes: choose with --modality"):
        options(".")
    with pytest.raises(InputError, match="yamnet takes sounds, not images: leave --modality out"):
        options("--classifier", "yamnet", "--modality", "image")


def test_another_class_is_explained_by_an_explainer_that_has_learned_to_and_else_by_cartoonx():
    for modality, method in (("image", "amortized"), ("audio", "cartoonx"), ("volume", "cartoonx")):
        assert options("--modality", modality).method == "amortized"
        assert options("--modality", modality, "--target", "1").method == method
        assert options("--modality", modality, "--target", "1", "--method", "amortized").explainer is not None


def test_the_default_folders_of_modalities_are_apart():
    for words, folder in (
        ((), "amortized"), (("--modality", "audio"), "amortized-audio"), (("--modality", "volume"), "amortized-volume"),
        (("--modality", "audio", "--method", "wam", "--domain", "mel"), "wam-audio-mel"),
    ):  # fmt: skip
        assert default_folder(options(*words)) == Path("explanations", folder)


def test_the_defaults_of_images_are_still_those_of_the_bundled_explainer():
    given = ("--wavelet", "db3", "--levels", "5", "--value-range", "0", "1")
    assert options().method == options(*given).method == "amortized"
    assert options("--wavelet", "db4").method == "cartoonx"


@pytest.mark.parametrize(("words", "modality"), [("1 16000", "audio"), ("3 64 48", "image"), ("1 8 8 8", "volume")])
def test_an_input_size_tells_the_kind_of_signals(words, modality):
    options = build_parser().parse_args(["--method", "wam", "--input-size", *words.split()])
    complete(options)
    assert options.modality == modality


@pytest.mark.parametrize("classifier", [[], ["--classifier", "resnet18"]])
def test_height_and_width_alone_are_no_input_size(classifier):
    options = build_parser().parse_args(["--method", "wam", "--input-size", "64", "48", *classifier])
    with pytest.raises(InputError, match=r"the channels, too: 3 64 48 for images"):
        complete(options)


@pytest.mark.parametrize(("own", "said"), [((), True), (("--weights", "random"), False)])
def test_the_classifier_of_digits_is_said_to_know_no_more(signals, own, said, capsys):
    request = ("volume/a.npy", "--classifier", "digits3d", *own, "--method", "wam", "--no-panels", "--out", "digits")
    assert main([*request, "--certificate-samples", "2"]) == 0
    assert ("digits3d (which knows only the digits 0 to 9)" in capsys.readouterr().out) == said

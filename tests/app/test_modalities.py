"""Sounds and volumes from the command line and the library: all works as for images."""

import io

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import amortex
from amortex.app.explain_cli import main
from amortex.core.errors import InputError
from helpers.explaining import rows
from helpers.signals import ToySound

QUICK = ("--levels", "2", "--certificate-samples", "4", "--device", "cpu", "--quiet")
TOYS = {
    "audio": ("--classifier", "helpers.signals.ToySound", "--input-size", "1", "800", *QUICK),
    "volume": ("--classifier", "helpers.signals.ToyVolume", "--input-size", "1", "8", "8", "8", *QUICK),
}
LIBRARY = {
    "audio": {"classifier": "helpers.signals.ToySound", "input_size": (1, 800), "levels": 2, "wavelet": "haar"},
    "volume": {"classifier": "helpers.signals.ToyVolume", "input_size": (1, 8, 8, 8), "levels": 2},
}


def explain(modality, *arguments, method="wam"):
    return main([*TOYS[modality], "--method", method, "--out", "out", *map(str, arguments)])


@pytest.mark.parametrize("modality", TOYS)
def test_a_folder_is_explained_resumed_and_overwritten(signals, modality, capsys):
    assert explain(modality, modality) == 1
    assert "bad" in capsys.readouterr().err
    table = rows(signals / "out")
    assert sorted(bool(row["error"]) for row in table) == [False, False, True]
    masks = sorted((signals / "out").glob("*_mask.safetensors"))
    times = [mask.stat().st_mtime_ns for mask in masks]
    assert explain(modality, modality) == 1  # the good ones are not done again
    assert [mask.stat().st_mtime_ns for mask in masks] == times
    assert explain(modality, modality, "--rate", "0.2") == 2
    assert "results of other settings" in capsys.readouterr().err
    assert explain(modality, modality, "--rate", "0.2", "--overwrite", "--no-panels") == 1
    assert not list((signals / "out").glob("*_panel.png"))
    assert all(row["rate"] == pytest.approx(0.2, abs=0.01) for row in rows(signals / "out") if not row["error"])
    bad = next((signals / modality).glob("bad.*"))
    assert explain(modality, bad) == 2


def test_kept_and_dropped_sound_add_up_to_the_sound(signals):
    assert explain("audio", "audio/a.wav") == 0
    kept, dropped, sound = (
        soundfile.read(path, dtype="float32")[0] for path in ("out/a_kept.wav", "out/a_dropped.wav", "audio/a.wav")
    )
    np.testing.assert_allclose(kept + dropped, sound, atol=1e-6)
    assert 0 < np.square(kept).sum() < np.square(sound).sum()
    assert Image.open("out/a_panel.png").width == 1800


def test_sounds_of_any_length_are_explained_at_their_own(signals, monkeypatch):
    monkeypatch.setattr(ToySound, "pretrained_cfg", {"input_size": (1, 800), "lengths": (300, 100)}, raising=False)
    for number, frames in enumerate((450, 470, 310, 7000)):
        soundfile.write(f"audio/{number}.wav", np.full(frames, 0.1), 16000, "FLOAT")
    assert explain("audio", "audio/0.wav", "audio/1.wav", "audio/2.wav", "audio/3.wav") == 0
    lengths = [len(soundfile.read(f"out/{number}_kept.wav")[0]) for number in range(4)]
    assert lengths == [500, 500, 400, 800]
    explainer = amortex.load_explainer(modality="audio", method="wam", device="cpu", **LIBRARY["audio"])
    assert explainer.explain("audio/2.wav").encoded.image.shape == (1, 1, 400)
    with pytest.raises(InputError, match="one length, not 400 and 500 samples"):
        explainer.explain(["audio/1.wav", "audio/2.wav"])


def test_what_is_kept_of_a_volume_is_its_masked_coefficients(signals):
    assert explain("volume", "volume/a.npy", "--rate", "1") == 0
    np.testing.assert_allclose(np.load("out/a_kept.npy"), np.load("volume/a.npy"), atol=1e-6)


def test_results_beside_the_inputs_are_no_inputs(signals):
    for _ in range(2):
        assert main([*TOYS["audio"], "audio", "--method", "wam", "--out", "audio", "--modality", "audio"]) == 1
    assert [row["file"] for row in rows(signals / "audio") if not row["error"]] == ["audio/a.wav", "audio/b.wav"]


def test_each_volume_of_an_archive_has_its_row(signals):
    np.savez("many.npz", x=np.random.default_rng(1).random((2, 8, 8, 8)), labels=np.arange(2))
    assert explain("volume", "many.npz") == 0
    assert [row["file"] for row in rows(signals / "out")] == ["many.npz:x[0]", "many.npz:x[1]"]
    assert (signals / "out/many_x_1_kept.npy").is_file()


def test_a_default_of_images_is_taken_where_it_is_given_for_sound():
    db3 = amortex.load_explainer(method="wam", **{**LIBRARY["audio"], "wavelet": "db3"})
    assert db3.explainer.rate_distortion.transform.wavelet == "db3"
    own = amortex.load_explainer(method="wam", **{**LIBRARY["audio"], "wavelet": None})
    assert own.explainer.rate_distortion.transform.wavelet == "db6"
    assert own.explainer.rate_distortion.value_range == (-1, 1)


def test_a_classifier_of_other_signals_is_refused(signals, capsys):
    assert main([*TOYS["audio"], "--modality", "volume", "volume", "--method", "wam"]) == 2
    assert "takes sounds, not volumes" in capsys.readouterr().err
    assert main([*TOYS["audio"], "audio", "--method", "wam", "--value-range", "0", "1"]) == 2
    assert "sounds have values in [-1, 1], whatever their files hold, not in [0, 1]" in capsys.readouterr().err


@pytest.mark.parametrize("modality", LIBRARY)
def test_the_library_takes_files_contents_arrays_and_tensors(signals, modality):
    loaded = amortex.load_explainer(method="wam", **LIBRARY[modality])
    path = next((signals / modality).glob("a.*"))
    array = soundfile.read(path, dtype="float32")[0] if modality == "audio" else np.load(path)
    expected = loaded.explain(path).mask
    tensor = torch.from_numpy(array)[None, None]
    for given in (str(path), path.read_bytes(), array, array[None], [array], tensor, list(tensor), tensor.numpy()):
        torch.testing.assert_close(loaded.explain(given).mask, expected)
    assert len(loaded.explain([path, array])) == 2
    assert loaded.attribute(path).shape == tensor.shape
    assert loaded.explain(array).sources[0].label.startswith({"audio": "sound-", "volume": "volume-"}[modality])
    noun = {"audio": "sounds", "volume": "volumes"}[modality]
    for wrong, message in ((3, f"{noun} are paths"), ([], f"no {noun}"), (tensor[0, 0], f"{noun} must be a tensor")):
        with pytest.raises(InputError, match=message):
            loaded.explain(wrong)


def test_notebooks_play_sounds_and_show_volumes(signals):
    result = amortex.load_explainer(method="wam", **LIBRARY["audio"]).explain("audio/a.wav")
    html = result._repr_html_()
    assert html.count("<audio controls") == 3
    assert "data:image/png;base64," in html
    assert Image.open(io.BytesIO(result._repr_png_())).width == 1800
    volume = amortex.load_explainer(method="wam", **LIBRARY["volume"]).explain("volume/a.npy")
    assert volume._repr_html_() is None
    assert Image.open(io.BytesIO(volume._repr_png_())).width == 1800


def test_no_length_of_a_sound_is_far_from_training_where_the_classifier_takes_any(caplog):
    amortex.load_explainer(modality="audio", method="wam", input_size=[1, 400_000], device="cpu")
    assert not caplog.messages

"""Training data of sounds and volumes: the same guarantees as for images."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from amortex.core.errors import InputError
from amortex.data.validation import evenly_spaced
from amortex.io.readers import reader_of
from helpers.data import batches, same, validated
from helpers.signals_data import SOUND, VOLUME, archive, make, write_sounds, write_volumes


def test_clips_are_random_parts_of_sounds_at_random_gains(tmp_path):
    data = make(SOUND, write_sounds(tmp_path, [2000] * 4), val_images=1)
    clips = torch.cat([batch["image"] for batch in batches(data, 30)])
    assert clips.shape == (60, 1, 400)
    assert clips.dtype == torch.float32
    steps = clips.diff(dim=2)[:, 0]
    gain = steps.mean(1) / 1e-4
    assert torch.allclose(steps, steps.mean(1, keepdim=True).expand_as(steps), atol=1e-6)  # nothing but parts
    assert 0.24 < gain.min() < 0.35
    assert 0.8 < gain.max() <= 1.001
    starts = clips[:, 0, 0] / gain - 0.1  # of sound n from n / 10 on, of which 1600 parts begin before n / 10 + 0.16
    (held_out,) = (int(name.split("/")[1][0]) for name in validated(data)["name"])
    allowed = [n / 10 for n in range(4) if n != held_out]
    assert all(any(n - 1e-4 < start < n + 0.1601 for n in allowed) for start in starts.tolist())
    assert len(starts.unique()) > 50


def test_sounds_are_compared_at_the_lengths_at_which_they_are_explained(tmp_path):
    lengths = [90, 400, 180, 170]  # of which the classifier takes 100, 150, 200, ...
    folder = write_sounds(tmp_path, lengths)
    data = make({**SOUND, "lengths": (100, 50)}, "embedded", val=str(folder), val_images=4, batch_size=4)
    assert validated(data)["image"].shape == (4, 1, 400)
    compared = {}
    for batch in data.test_dataloader():
        compared |= dict(zip(batch["name"], batch["image"], strict=True))
    assert {Path(name).name: sound.shape[1] for name, sound in compared.items()} == {
        "0.wav": 100, "1.wav": 400, "2.wav": 200, "3.wav": 200
    }  # fmt: skip
    for name, sound in zip(validated(data)["name"], validated(data)["image"], strict=True):
        own = min(400, lengths[int(Path(name).stem)])
        assert torch.equal(compared[name][:, :own], sound[:, :own])
        assert not compared[name][:, own:].any()
        assert sound.all()  # short sounds are repeated, where all have one length


def test_short_sounds_are_repeated_in_training_and_validation(tmp_path):
    data = make(SOUND, write_sounds(tmp_path, [300, 300, 300, 300]), val_images=1)
    clips = torch.cat([batch["image"] for batch in batches(data, 10)])[:, 0]
    torch.testing.assert_close(clips[:, 300:], clips[:, :-300])
    assert (clips.diff(dim=1).amin(1) < -0.005).all()  # from the end of the ramp to its start again
    assert len({round(float(clip[0] / clip.std()), 3) for clip in clips}) > 10  # begun at a random place
    val = validated(data)["image"][0, 0]
    torch.testing.assert_close(val[300:], val[:-300])


def test_other_rates_and_channels_are_those_of_the_classifier(tmp_path):
    tone = np.sin(2 * np.pi * 440 * np.arange(32000) / 16000).astype(np.float32) / 2
    for number in range(2):
        wavfile.write(tmp_path / f"{number}.wav", 16000, np.stack([tone, tone], 1))
    data = make(SOUND, tmp_path, val_images=1)
    (batch,) = batches(data, 1)
    spectrum = torch.fft.rfft(batch["image"][0, 0]).abs()
    assert int(spectrum.argmax()) == 440 * 400 // 8000


def test_validation_sounds_are_those_that_are_explained(tmp_path):
    folder = write_sounds(tmp_path, [700] * 6)
    data = make(SOUND, folder, val_images=3)
    val = validated(data)
    expected = [reader_of(SOUND).load(folder / name) for name in val["name"]]
    assert torch.equal(val["image"], torch.stack(expected))
    assert torch.equal(evenly_spaced(data.val_source.source, data.preparation, 3), val["image"])


@pytest.mark.parametrize("kind", ["sound", "volume"])
def test_samples_are_a_function_of_their_number(tmp_path, kind):
    config = SOUND if kind == "sound" else VOLUME
    folder = write_sounds(tmp_path, [900] * 5) if kind == "sound" else write_volumes(tmp_path, 5)
    expected = batches(make(config, folder, val_images=2), 5)
    assert same(expected, batches(make(config, folder, val_images=2, workers=2), 5))
    assert same(expected, batches(make(config, folder, val_images=2, cache_gib=1.0), 5))
    assert not same(expected, batches(make(config, folder, val_images=2, seed=1), 5))


def test_a_broken_sound_is_left_out_and_named_once(tmp_path, caplog):
    folder = write_sounds(tmp_path / "train", [500, 500, 500])
    (folder / "a" / "0.wav").write_bytes(b"RIFF no sound")
    val = write_sounds(tmp_path / "val", [500, 500])
    (val / "b" / "1.wav").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        data = make(SOUND, folder, val=str(val))
        assert len(batches(data, 6)) == 6
        assert validated(data)["name"] == ["a/0.wav"]
    assert list(data.left_out) == ["b/1.wav"]
    messages = [record.getMessage() for record in caplog.records]
    assert sorted(message.partition(" (")[0] for message in messages) == [
        f"{name}: not a readable sound, left out" for name in ("a/0.wav", "b/1.wav")
    ]


# bad input


@pytest.mark.parametrize(
    ("config", "train", "message"),
    [
        (SOUND, "digits3d", "digits3d holds volumes: the classifier takes sounds"),
        (SOUND, "torch/imagenette", "holds images: the classifier takes sounds"),
        (VOLUME, "wds/x", "holds images: the classifier takes volumes"),
        (SOUND, "{folder}", "no sounds in"),
        (VOLUME, "{folder}", "no volumes in"),
        (VOLUME, "digit3d", "did you mean digits3d"),
        (SOUND, "nowhere", "give a folder of sounds, embedded"),
        (VOLUME, "{folder}/flat.npz", r"the axes \(4, 8, 8\), not \(N, D, H, W\)"),
        (VOLUME, "{folder}/one.npz", "has no split 'val': it has train"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, config, train, message):
    (tmp_path / "empty").mkdir()
    if train.endswith("flat.npz"):
        archive(tmp_path / "flat.npz", train_images=(4, 8, 8))
    if train.endswith("one.npz"):
        archive(tmp_path / "one.npz", train_images=(4, 8, 8, 8))
    folder = tmp_path if ".npz" in train else tmp_path / "empty"
    with pytest.raises(InputError, match=message) as error:
        make(config, train.replace("{folder}", str(folder)))
    assert "\n" not in str(error.value)


def test_objects_in_an_archive_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", train_images=np.array([print, None], dtype=object))
    with pytest.raises(InputError, match="cannot be read"):
        make(VOLUME, tmp_path / "x.npz")

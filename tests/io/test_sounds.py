"""Sounds: mixed, resampled, cut or padded for the classifier; written back as they are."""

import io
import os

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import resample_poly

from amortex.core.errors import InputError
from amortex.io.sounds import SoundReader, wav_bytes

LENGTH = 4000


def reader(channels=1, length=LENGTH, rate=16000):
    return SoundReader({"input_size": (channels, length), "sample_rate": rate})


def noise(frames, channels=1):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (frames, channels))


@pytest.mark.parametrize(("ending", "subtype"), [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_24")])
def test_samples_are_those_that_soundfile_reads(tmp_path, ending, subtype):
    file = tmp_path / f"a.{ending}"
    soundfile.write(file, noise(LENGTH), 16000, subtype)
    expected = soundfile.read(file, dtype="float32")[0]
    np.testing.assert_array_equal(reader().load(file)[0], expected)
    np.testing.assert_array_equal(reader().load(file.read_bytes())[0], expected)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_the_start_of_a_long_sound_is_the_start_of_the_whole_one_resampled(tmp_path, rate):
    file = tmp_path / "a.wav"
    soundfile.write(file, noise(3 * rate), rate, "FLOAT")
    whole = resample_poly(soundfile.read(file, dtype="float32")[0], 16000, rate)
    np.testing.assert_allclose(reader().load(file)[0], whole[:LENGTH].clip(-1, 1), atol=1e-6)


def test_only_what_is_needed_is_read(tmp_path, monkeypatch):
    file, counts, read = tmp_path / "a.wav", [], soundfile.SoundFile.read
    soundfile.write(file, noise(200_000), 16000)
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, frames, *rest, **more: counts.append(frames) or
        read(self, frames, *rest, **more)
    )  # fmt: skip
    reader().load(file)
    assert LENGTH <= counts[0] < LENGTH + 100


def test_channels_are_mixed_or_repeated(tmp_path):
    file = tmp_path / "a.wav"
    soundfile.write(file, noise(LENGTH, 2), 16000, "FLOAT")
    stereo = soundfile.read(file, dtype="float32")[0]
    np.testing.assert_allclose(reader(1).load(file)[0], stereo.mean(1), atol=1e-7)
    np.testing.assert_array_equal(reader(2).load(file), stereo.T)
    np.testing.assert_allclose(reader(3).load(file), np.tile(stereo.mean(1), (3, 1)), atol=1e-7)


def test_short_sounds_end_in_digital_silence_and_long_ones_are_cut_with_a_notice(tmp_path, caplog):
    short, long = tmp_path / "short.wav", tmp_path / "long.wav"
    soundfile.write(short, noise(100), 16000)
    soundfile.write(long, noise(16000), 16000)
    padded = tmp_path / "padded.wav"  # as encoders do
    soundfile.write(padded, noise(LENGTH + 100), 16000)
    load = reader()
    load.load(padded)
    load.give_notices()
    assert caplog.text == ""
    signal = load.load(short)
    assert signal.shape == (1, LENGTH)
    assert (signal[0, :100] != 0).any()
    assert not signal[0, 100:].any()
    load.load(long)
    load.give_notices()
    assert "1 of 3 sounds are longer" in caplog.text
    assert "first 0.25 s are explained, up to 0.75 s are left out (--input-size" in caplog.text


def test_values_beyond_one_are_clipped_with_a_notice(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", 4 * noise(LENGTH), 16000, "FLOAT")
    load = reader()
    assert load.load(tmp_path / "a.wav").abs().max() == 1
    load.give_notices()
    assert "1 of 1 sounds have values beyond [-1, 1]: they are clipped" in caplog.text


def test_files_that_are_no_sound_say_so(tmp_path):
    for name, samples in (("empty", noise(0)), ("nan", np.full((9, 1), np.nan)), ("inf", np.full((9, 1), np.inf))):
        soundfile.write(tmp_path / f"{name}.wav", samples, 16000, "FLOAT")
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "slow.wav", noise(9), 10)
    os.mkfifo(tmp_path / "pipe.wav")
    for name, message in (
        ("empty", "holds no sound"), ("nan", "not finite"), ("inf", "not finite"),
        ("text", "LibsndfileError: Format not recognised"), ("nowhere", "no such file"),
        ("slow", "10 samples per second"), ("pipe", "no regular file"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message) as caught:
            reader().load(tmp_path / f"{name}.wav")
        assert str(tmp_path) in str(caught.value)


def test_arrays_are_at_the_rate_of_the_classifier():
    samples = noise(LENGTH)[:, 0]
    np.testing.assert_array_equal(reader()(samples)[0], samples.astype(np.float32))
    np.testing.assert_allclose(reader()((samples * 32768).astype(np.int16))[0], samples, atol=1 / 32768)
    for wrong in (3 * samples, np.full(9, np.nan), samples.astype(complex), np.zeros((2, 2, 2)), np.zeros(0)):
        with pytest.raises(InputError, match=r"a sound has|not finite|no samples"):
            reader()(wrong)


def test_written_sounds_are_read_back_to_the_last_bit():
    signal = 2 * torch.randn(2, 300)
    samples, rate = soundfile.read(io.BytesIO(wav_bytes(signal, 22050)), dtype="float32")
    assert rate == 22050
    np.testing.assert_array_equal(samples.T, signal)


def test_damaged_files_end_in_one_line():
    buffer, random = io.BytesIO(), np.random.default_rng(1)
    soundfile.write(buffer, noise(500), 16000, format="WAV")
    content, lines = np.frombuffer(buffer.getvalue(), np.uint8), []
    for _ in range(200):
        damaged = content.copy()
        damaged[random.integers(0, 60, 4)] = random.integers(0, 256, 4)
        try:
            signal = reader(length=600).load(damaged.tobytes())
            assert signal.isfinite().all()
        except InputError as error:
            lines += str(error).splitlines()
    assert 20 < len(lines) < 200
    assert all(line.startswith("bytes") for line in lines)


def test_a_file_that_ends_within_its_samples_is_refused(tmp_path):
    file = tmp_path / "a.wav"
    soundfile.write(file, noise(500), 16000, format="WAV")
    content, read = file.read_bytes(), reader(length=500)
    samples = content.index(b"data") + 8
    length = len(content) - samples
    for end in (samples + 100, len(content) - 2):
        file.write_bytes(content[:end])
        for given in (file, content[:end]):
            with pytest.raises(InputError, match=f"cut short: {len(content) - end:,} of {length:,} bytes of sound are"):
                read.load(given)
    # programs that do not know the length yet write the largest; others count the header twice, or lose what follows
    for unknown in (0xFFFFFFFF, 0x7FFFF000, 0x7FFFFF00):
        assert read.load(content[: samples - 4] + unknown.to_bytes(4, "little") + content[samples:]).any()
    whole = len(content).to_bytes(4, "little")
    for odd in (content[:4] + whole + content[8:], content + b"LIST" + b"\xff\0\0\0"):
        torch.testing.assert_close(read.load(odd), read.load(content))


def test_sounds_keep_their_length_where_the_classifier_takes_any(tmp_path):
    read = SoundReader({"input_size": (1, LENGTH), "sample_rate": 16000, "lengths": (1000, 500)})
    sound = noise(1300)[:, 0]
    silent_end = np.concatenate([sound, np.zeros(1000)])
    for samples, length in ((sound, 1500), (silent_end, 1500), (sound[:7], 1000), (noise(9000)[:, 0], LENGTH)):
        file = tmp_path / "a.wav"
        soundfile.write(file, samples, 16000, "FLOAT")
        signal = read.load(file)
        assert signal.shape == (1, length)
        heard = np.zeros(length, np.float32)
        heard[: min(length, len(samples))] = samples[:length]
        np.testing.assert_array_equal(signal[0], heard)
    assert read(np.zeros(3000, np.float32)).shape == (1, 1000)  # nothing but silence


def test_files_of_nothing_but_silence_are_refused(tmp_path):
    file, load = tmp_path / "a.wav", reader()
    soundfile.write(file, np.zeros(100), 16000)
    with pytest.raises(InputError, match=r"a\.wav holds digital silence: all samples are zero"):
        load.load(file)
    soundfile.write(file, np.concatenate([np.zeros(9000), noise(9000)[:, 0]]), 16000)
    with pytest.raises(InputError, match=r"a\.wav begins with 0\.251 s of digital silence"):
        load.load(file)
    assert load.read(file, 18000)[0].any()


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
def test_channels_that_cancel_each_other_are_refused(tmp_path, subtype):
    left = noise(9000)[:, 0]
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left], 1), 16000, subtype=subtype)
    with pytest.raises(InputError, match=r"a\.wav: its channels cancel each other"):
        reader().load(tmp_path / "a.wav")
    with pytest.raises(InputError, match="the sound: its channels cancel each other"):
        reader()(np.stack([left, -left]).astype(np.float32))


def test_a_classifier_that_does_not_say_its_rate_gets_a_notice_once_files_are_read(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", noise(LENGTH), 16000)
    load = SoundReader({"input_size": (1, LENGTH)})
    load(noise(LENGTH)[:, 0])
    load.give_notices()
    assert not caplog.text
    load.load(tmp_path / "a.wav")
    load.give_notices()
    assert "resampled to 16000 Hz" in caplog.text


def test_several_sounds_are_not_taken_for_channels():
    with pytest.raises(InputError, match="a sound of 3 channels in memory is not mixed: give their mean, or a list"):
        reader()(noise(LENGTH, 3).T)
    assert reader()(noise(LENGTH, 2).T).shape == reader(3)(noise(LENGTH, 3).T)[:1].shape


def test_arrays_with_their_channels_last_are_refused():
    with pytest.raises(InputError, match="give its transpose"):
        reader(2)(noise(LENGTH, 2))

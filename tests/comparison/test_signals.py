"""`train.py compare` on sounds and volumes: the tables of images, sounds to listen to, nothing that has no meaning."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from amortex.app import train_cli
from amortex.comparison import Comparison
from amortex.rate_distortion.problem import Problem
from helpers.comparing import OF_SIGNALS, compare_signals, table, write_blobs, write_tones

ALL = ("--model.methods", "[wam_sg,saliency,lime,gradcam,random_wavelets]")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finite_or_said(report: Path) -> None:
    """No table shows NaN for a method that is there; every row that is not available is explained."""
    text = (report / "report.md").read_text()
    assert "nan" not in text.lower()
    for line in text.splitlines():
        if "| not available |" in line:
            assert f"- {line.split(' | ')[0].removeprefix('| ')}: " in text


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", text)


def test_sounds_have_the_tables_of_images_and_files_to_listen_to(folder):
    sections = "[methods,leakage,sanity,scales,noise,overlap]"
    light = ("--model.leakage_methods", "[wam_sg]", "--model.sanity_methods", "[wam_sg]",
             "--model.mixture_methods", "[wam_sg,random_wavelets]")  # fmt: skip
    assert compare_signals(write_tones(folder / "tones"), [1, 400], *ALL, *light, "--model.sections", sections) == 0
    report = folder / "report"
    finite_or_said(report)
    native = table(report, "native")
    assert native["wam_sg", "ff@mask"]["images"] == "3"
    assert 0 <= float(native["wam_sg", "fid_in@0.5"]["mean"]) <= 1
    assert not [column for _, column in native if column == "hallucination"]
    assert ("saliency", "insertion") in table(report, "mapped")
    text = (report / "report.md").read_text()
    assert "- LIME: LIME explains images alone" in text
    assert "- Grad-CAM: " in text
    assert "- hallucination: it counts the edges of pictures, and sounds have none" in text
    assert "3 sounds of 400 samples, classifier" in text
    assert "4000-8000 Hz" in text
    for path in links(text):
        assert (report / path).is_file(), path
    rate, original = wavfile.read(report / "gallery/0/original.wav")
    kept, dropped = (wavfile.read(report / f"gallery/0/wam_sg_{part}.wav")[1] for part in ("kept", "dropped"))
    assert rate == 16000
    np.testing.assert_allclose(kept + dropped, original, atol=1e-5)
    page = (report / "report.html").read_text()
    assert '<audio controls preload="none" src="gallery/0/wam_sg_kept.wav">' in page
    assert '<audio controls preload="none" src="gallery/overlap_0/mixture.wav">' in page
    assert "http" not in page
    for section in ("noise", "overlap"):
        values = table(report, section)
        assert values["wam_sg", "target_energy@mask"]["images"] == "3"
        assert -60 <= float(values["wam_sg", "si_sdr_target@0.2"]["mean"]) <= 60
        mixture, target, corruption = (
            wavfile.read(report / f"gallery/{section}_0/{part}.wav")[1] for part in ("mixture", "target", "corruption")
        )
        np.testing.assert_allclose(target + corruption, mixture, atol=1e-6)


def test_volumes_have_the_tables_of_images_and_panels(folder):
    sections = "[methods,leakage,sanity,scales]"
    light = ("--model.leakage_methods", "[wam_sg]", "--model.sanity_methods", "[wam_sg]", "--model.gallery", "1")
    size = [1, 8, 8, 8]
    assert compare_signals(write_blobs(folder / "blobs"), size, *ALL, *light, "--model.sections", sections) == 0
    report = folder / "report"
    finite_or_said(report)
    native = table(report, "native")
    assert {"insertion", "deletion", "scale_0", "ff@mask"} <= {column for _, column in native}
    text = (report / "report.md").read_text()
    assert "3 volumes of 8 x 8 x 8 voxels, classifier" in text
    assert "above 4 voxels" in text
    for path in links(text):
        assert (report / path).is_file(), path
    assert np.load(report / "gallery/0/wam_sg_kept.npy").shape == (8, 8, 8)
    assert (report / "gallery/0/wam_sg_panel.png").read_bytes().startswith(b"\x89PNG")


def test_a_choice_of_metrics_leaves_out_tables_plots_and_passes(folder):
    chosen = ("--model.sections", "[methods]", "--model.metrics", "[insertion,masked_in]", "--model.gallery", "0")
    assert compare_signals(write_tones(folder / "tones"), [1, 400], *ALL, *chosen) == 0
    report = folder / "report"
    columns = {column for _, column in table(report, "native")}
    assert {"insertion", "ff@0.5", "ff@mask", "scale_0", "seconds"} <= columns
    assert not [name for name in columns if name.startswith(("l2", "out_", "mu_", "cp_", "retained", "rate"))]
    text = (report / "report.md").read_text()
    assert "Pixel methods, mapped" in text
    assert "Masks as they are" not in text
    assert sorted(path.name for path in report.glob("*.png")) == ["pareto.png"]


def test_settings_that_a_classifier_has_not_are_listed():
    problem = Problem("helpers.networks.AnyAxes", model_args={"size": [1, 400]}, input_size=[1, 400], mean=[0.5],
                      std=[0.5], activation="sigmoid", levels=2)  # fmt: skip
    module = Comparison(problem, sections=("grid",), methods=(), cache=None)
    assert [row for _, row in module.unavailable] == ["distortion = kl"]
    assert "kl compares distributions over classes" in module.unavailable["grid", "distortion = kl"]
    assert "distortion = l2" in [study.name for study in module.plan.studies]


def test_overlap_of_a_single_class_says_what_is_missing(folder):
    tones = write_tones(folder / "tones", 1)
    only = ("--model.sections", "[overlap,noise]", "--model.mixture_methods", "[wam_sg]")
    assert compare_signals(tones, [1, 400], *only) == 0
    text = (folder / "report/report.md").read_text()
    assert "- WAM-SG: overlap needs signals of at least two classes" in text
    rows = [json.loads(line) for line in (folder / "report/images.jsonl").read_text().splitlines()]
    assert {row["table"] for row in rows} == {"noise"}


def test_silence_is_left_out_and_said(folder):
    tones = write_tones(folder / "tones")
    wavfile.write(tones / "empty.wav", 16000, np.zeros(400, np.float32))
    wavfile.write(tones / "late.wav", 16000, np.linspace(-0.9, 0.5, 800, dtype=np.float32) * (np.arange(800) >= 400))
    only = ("--model.sections", "[methods]", "--model.metrics", "[insertion]", "--model.gallery", "0",
            "--model.methods", "[random_wavelets]", "--data.val_images", "5")  # fmt: skip
    assert compare_signals(tones, [1, 400], *only) == 0
    text = (folder / "report/report.md").read_text()
    assert "3 sounds of 400 samples, classifier" in text
    assert re.search("- `empty.wav`: not a readable sound .*digital silence", text)
    assert "- `late.wav`: nothing but digital silence" in text


def test_the_mel_domain_mixes_sounds_and_explains_their_spectrograms(folder):
    toy = ("--model.problem.classifier", "helpers.networks.ToyMel", "--model.problem.domain", "mel",
           "--model.problem.wavelet", "haar", "--model.problem.activation", "softmax")  # fmt: skip
    sections = ("--model.sections", "[methods,noise]", "--model.mixture_methods", "[wam_sg]",
                "--model.methods", "[wam_sg,saliency]")  # fmt: skip
    tones = write_tones(folder / "tones", length=136)
    assert train_cli.main(["compare", *OF_SIGNALS, *toy, *sections, "--data.val", str(tones)]) == 0
    report = folder / "report"
    finite_or_said(report)
    native, noise = table(report, "native"), table(report, "noise")
    assert ("saliency", "insertion") in table(report, "mapped")
    assert "scale_2" in {column for _, column in native}
    assert ("wam_sg", "ff@0.5") in noise
    assert not [
        column for _, column in noise if column.startswith("target_")
    ]  # sums of spectrograms are none of sounds
    text = (report / "report.md").read_text()
    assert "classifier `helpers.networks.ToyMel` on log-mel spectrograms" in text
    for path in links(text):
        assert (report / path).is_file(), path
    _, clean = wavfile.read(report / "gallery/0/original.wav")
    _, target = wavfile.read(report / "gallery/noise_0/target.wav")
    np.testing.assert_array_equal(clean, target)
    assert len(clean) == 136

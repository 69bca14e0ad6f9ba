"""The benchmarks' command line, one benchmark from end to end, and the measurements that others build on."""

import importlib
import json
import subprocess
import sys

import pytest
import torch

from amortex.rate_distortion.problem import Problem
from benchmarks import independent, quickstart, signals
from benchmarks.__main__ import description, main
from benchmarks.arguments import ARGUMENTS
from benchmarks.processes import busy_loops, run, seconds, threads, under
from benchmarks.startup import python, ratio
from benchmarks.timing import compare, side_by_side
from helpers.photographs import photographs
from helpers.training import ROOT


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_benchmark_has_a_description_arguments_and_a_main(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"python -m benchmarks {name}" in text
    assert description(name) in text
    assert callable(importlib.import_module(f"benchmarks.{name}").main)


@pytest.mark.parametrize("arguments", [["--help"], ["cost", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import atexit, sys; from benchmarks.__main__ import main;"
        "atexit.register(lambda: print('imported', 'torch' in sys.modules, 'numpy' in sys.modules));"
        f"main({arguments})"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stdout.endswith("imported False False\n")


def test_the_list_names_every_benchmark(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for name in ARGUMENTS:
        assert f"  {name:<12} {description(name).splitlines()[0]}\n" in text


def test_a_folder_without_amortex_is_no_checkout(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["against", str(tmp_path)])
    assert end.value.code == 2
    assert "is no checkout of amortex" in capsys.readouterr().err


def test_code_runs_under_the_amortex_of_a_checkout(tmp_path):
    (tmp_path / "amortex").mkdir()
    (tmp_path / "amortex/__init__.py").write_text("version = 'another'")
    (tmp_path / "benchmarks").mkdir()  # those of the checkout are not the ones that measure
    (tmp_path / "benchmarks/__init__.py").touch()
    code = "import amortex, benchmarks.timing; print(amortex.version, benchmarks.__file__)"
    assert run(under(tmp_path, code)) == f"another {ROOT / 'benchmarks/__init__.py'}\n"


def test_threads_replace_those_of_this_process(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("GOMP_SPINCOUNT", "3")
    assert not {"OMP_NUM_THREADS", "GOMP_SPINCOUNT"} & threads("default").keys()
    setting = threads("OMP_NUM_THREADS=1,OMP_WAIT_POLICY=PASSIVE")
    assert (setting["OMP_NUM_THREADS"], setting["OMP_WAIT_POLICY"]) == ("1", "PASSIVE")
    assert "GOMP_SPINCOUNT" not in setting
    assert main(["busy", "--threads", "PATH=nowhere"]) == 2


def test_busy_loops_end_with_their_block():
    with busy_loops(2) as loops:
        assert [loop.poll() for loop in loops] == [None, None]
    assert all(loop.poll() is not None for loop in loops)


def test_a_command_that_fails_is_no_measurement():
    assert seconds(python("import sys; sys.exit(2)").words, status=2) > 0
    with pytest.raises(ValueError, match=r"exit status 1 instead of 0.*no such thing"):
        seconds(python("import sys; sys.exit('no such thing')").words)


def test_ratios_are_medians_of_ratios_within_a_turn():
    assert ratio([1, 4, 9], [1, 2, 3]) == "2.000 [1.000, 3.000]"
    assert compare([(1, 1), (4, 2), (9, 3)]) == (4, 2, 2, 1, 3)


def test_both_pieces_of_work_take_turns():
    order: list[str] = []
    side_by_side(lambda: order.append("work"), lambda: order.append("bare"), repeats=2)
    assert order == ["work", "bare"] * 3  # once to warm up


def test_training_steps_are_timed_over_their_passes(tmp_path):
    photographs(tmp_path / "photos", *(f"{index}.png" for index in range(4)))
    network = {"classifier": "test_efficientnet", "weights": "random", "input_size": 32, "levels": 2}
    config = {
        "model": {"problem": network, "predictor": {"width": 8}},
        "data": {"train": str(tmp_path / "photos"), "val_images": 1, "batch_size": 2, "workers": 0},
        "trainer": {"accelerator": "cpu", "enable_model_summary": False},
    }
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config))
    times = quickstart.train(ROOT, 2, bare=True, config=file)
    assert len(times["steps"]) == len(times["passes"]) == 2
    assert min(times["steps"] + times["passes"]) > 0


def test_both_transforms_of_sound_and_volumes_compute_the_same():
    ptwt = pytest.importorskip("ptwt")
    for wavelet, size in (("db3", (80,)), ("haar", (8, 6, 8))):
        works = signals.transforms(ptwt, wavelet, 2, torch.randn(2, *size))
        low, theirs = (work() for work in works["forward"])
        assert torch.allclose(low.bands[0][:, 0], theirs[0], atol=1e-5)
        ours, theirs = (work() for work in works["inverse"])
        assert torch.allclose(ours[:, 0], theirs, atol=1e-5)
        (ours,), (theirs,) = (work() for work in works["both and their gradient"])
        assert torch.allclose(ours[:, 0], theirs, atol=1e-5)


def test_wam_of_volumes_is_timed_over_its_passes():
    row = signals.wam_sg(Problem("digits3d", weights="random").build(), count=1, repeats=1)
    assert min(row) > 0


def test_without_ptwt_transforms_are_not_measured(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ptwt", None)
    assert main(["signals", "--parts", "transforms"]) == 2
    assert "pip install ptwt" in capsys.readouterr().err


def test_distortions_measured_in_other_ways(tmp_path, capsys, monkeypatch):
    folder = photographs(tmp_path / "in", "a.png")
    mask = torch.rand(1, 2**14, generator=torch.Generator().manual_seed(0)).square()
    monkeypatch.setattr(independent, "explained", lambda explainer, encoded, file: mask[:, : encoded.layout.k])
    assert (
        main(["independent", str(folder), "--images", "1", "--size", "64", "--samples", "32", "--out", str(tmp_path)])
        == 0
    )
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if " | " in line][1:]
    ratios = {row[0].removeprefix("| "): float(row[2].split()[0]) for row in rows}
    assert ratios["timm's network, not folded"] == pytest.approx(1, abs=1e-3)  # the same draws
    assert ratios["PyWavelets and timm's network, float64"] == pytest.approx(1, abs=1e-3)
    assert ratios["draws of numpy"] == ratios["all of these"] != 1
    assert main(["independent", str(folder), "--samples", "24", "--out", str(tmp_path)]) == 2
    assert "--samples must be a multiple of 16" in capsys.readouterr().err


def test_the_gpu_benchmark_measures_everything_and_agrees_with_itself_on_the_cpu(tmp_path, capsys):
    options = ("--device", "cpu", "--quick", "--repeats", "1", "--out", str(tmp_path))
    assert main(["gpu", *options]) == 0
    figures = json.loads((tmp_path / "gpu.json").read_text())
    assert figures["largest difference of D from the CPU's"] == pytest.approx(0, abs=1e-5)
    assert all(value > 0 for name, value in figures.items() if "images/s" in name or "share" in name)
    assert "| amortized, 64 passes (images/s) |" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_the_gpu_benchmark_says_so(tmp_path, capsys):
    assert main(["gpu", "--out", str(tmp_path / "out")]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

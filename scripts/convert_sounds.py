"""Make `amortex/assets/sounds` from the samples of Sonic Pi (Debian's package sonic-pi-samples).

    apt-get download sonic-pi-samples && dpkg -x sonic-pi-samples_*.deb samples
    python scripts/convert_sounds.py samples/usr/share/sonic-pi/samples

Sounds are mixed to one channel, resampled to 16 kHz, and cut to five seconds with a short fade.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

SOUNDS = {
    "crow": "misc_crow",
    "burp": "misc_burp",
    "bell": "perc_bell",
    "drums": "loop_breakbeat",
    "tabla": "loop_tabla",
}
RATE, SECONDS, FADE = 16000, 5, 160  # Hz, seconds, samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, help="folder of the samples")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "amortex/assets/sounds")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, sample in SOUNDS.items():
        signal, rate = soundfile.read(arguments.samples / f"{sample}.flac", always_2d=True)
        common = np.gcd(RATE, rate)
        signal = resample_poly(signal.mean(1), RATE // common, rate // common).clip(-1, 1)
        if len(signal) > SECONDS * RATE:
            signal = signal[: SECONDS * RATE]
            signal[-FADE:] *= np.linspace(1, 0, FADE)
        soundfile.write(arguments.out / f"{name}.flac", signal, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()

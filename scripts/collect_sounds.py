"""Collect sounds of many sorts from packages of Debian, to train an explainer of YAMNet on.

    mkdir packages && cd packages && apt-get download $(python ../scripts/collect_sounds.py --list)
    for deb in *.deb; do dpkg -x "$deb" "${deb%%_*}"; done && cd ..
    python scripts/collect_sounds.py packages sounds

Sounds are mixed to one channel, resampled to 16 kHz, freed of what is silent at both ends, and cut to the loudest five
of their first thirty seconds. A package gives 250 effects at most, 60 of speech and 40 of music. The five sounds that
amortex brings are left out.
"""

import argparse
import random
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

PACKAGES = (
    "berusky2-data", "boswars", "colobot-common-sounds", "extremetuxracer-data", "flare-game",
    "freedroid-data", "frozen-bubble-data", "gnome-control-center-data", "hedgewars-data", "holotz-castle-data",
    "hydrogen-drumkits", "khangman", "klettres-data", "ktuberling-data", "lbreakout2-data", "lincity-ng-data",
    "megaglest-data", "micropolis-data", "minetest-data", "monsterz-data", "oxygen-sounds", "pidgin-data",
    "pingus-data", "pushover-data", "pysiogame", "redeclipse-data", "scratch", "searchandrescue-data",
    "sonic-pi-samples", "sound-icons", "sound-theme-freedesktop", "supertux-data", "supertuxkart-data", "torcs-data",
    "tuxmath-data", "tuxpaint-stamps-default", "tuxtype-data", "wesnoth-1.16-data", "xmoto-data",
)  # fmt: skip
BUNDLED = {"perc_bell", "misc_burp", "misc_crow", "loop_breakbeat", "loop_tabla"}
SPEECH, MUSIC = ("_desc", "voices", "/math/", "klettres-data", "ktuberling-data"), ("music", "/songs/")
MOST = {"effects": 250, "speech": 60, "music": 40}  # of a package
SUFFIXES = {".wav", ".ogg", ".oga", ".flac", ".mp3"}
RATE, LONGEST, SHORTEST = 16000, 5.0, 0.25  # Hz, seconds, seconds
READ = 30.0  # seconds of a recording that are looked at
FRAME, SILENT = 400, 1e-2  # samples; share of the loudest frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the names of the packages, and do nothing else")
    parser.add_argument("packages", type=Path, nargs="?", help="folder with a folder of each package")
    parser.add_argument("out", type=Path, nargs="?", help="where the sounds go")
    arguments = parser.parse_args()
    if arguments.list:
        print(*PACKAGES)
        return
    if arguments.packages is None or not arguments.packages.is_dir() or arguments.out is None:
        parser.error("give a folder with a folder of each package, and a folder for the sounds")
    arguments.out.mkdir(parents=True, exist_ok=True)
    seen: set[bytes] = set()
    for package in sorted(path for path in arguments.packages.iterdir() if path.is_dir()):
        count = collect(package, arguments.out, seen)
        print(f"{package.name}: {count} sounds")
    print(f"{len(seen)} sounds in {arguments.out}")


def collect(package: Path, out: Path, seen: set[bytes]) -> int:
    """Write the sounds of one package that have not been `seen`; how many there were."""
    files: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(package.rglob("*")):
        if file.suffix.lower() in SUFFIXES and file.is_file() and file.stem not in BUNDLED:
            files[sort_of(file.relative_to(package.parent))].append(file)
    count = 0
    for sort, paths in sorted(files.items()):
        random.Random(0).shuffle(paths)
        kept = 0
        for file in paths:
            if kept == MOST[sort]:
                break
            try:
                sound = read(file)
            except (soundfile.LibsndfileError, ValueError) as error:
                print(f"{file}: {error}", file=sys.stderr)
                continue
            if sound is None or sound.tobytes() in seen:
                continue
            seen.add(sound.tobytes())
            name = "_".join(file.relative_to(package.parent).with_suffix("").parts[-2:]).replace(" ", "_")
            soundfile.write(out / f"{package.name}__{sort}__{count:04}_{name}.wav", sound, RATE, subtype="PCM_16")
            kept, count = kept + 1, count + 1
    return count


def sort_of(path: Path) -> str:
    """Whether a file is speech, music or neither, by its name and the folders that it is in."""
    name = path.as_posix().lower()
    if any(word in name for word in SPEECH):
        return "speech"
    return "music" if any(word in name for word in MUSIC) else "effects"


def read(file: Path) -> NDArray[np.float32] | None:
    """The part of a file to train on, at most 1.0; None if it is too short or silent."""
    with soundfile.SoundFile(file) as opened:
        rate = opened.samplerate
        samples = opened.read(int(READ * rate), dtype="float32", always_2d=True).mean(1)
    common = np.gcd(RATE, rate)
    samples = resample_poly(samples, RATE // common, rate // common).astype(np.float32)
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    loudness = np.sqrt((frames**2).mean(1))
    if len(frames) == 0 or not loudness.max() >= 1e-3:  # nor is NaN
        return None
    heard = np.flatnonzero(loudness > SILENT * loudness.max())
    samples = samples[heard[0] * FRAME : (heard[-1] + 1) * FRAME]
    if len(samples) < SHORTEST * RATE:
        return None
    longest = int(LONGEST * RATE)
    if len(samples) > longest:
        energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
        start = int((energy[longest:] - energy[:-longest]).argmax())
        samples = samples[start : start + longest]
    scaled: NDArray[np.float32] = samples / max(1.0, np.abs(samples).max())
    return scaled


if __name__ == "__main__":
    main()

"""Training images that one core loads per second, beside those that a training step on it uses.

    python -m benchmarks loading FOLDER --images 256

Behind the images per second of docs/results.md, Speed, Training. The images come from the files of a folder, from a
tar file that `train.py pack` makes of them, and from memory (`cache_gib`, the second time around). All of it runs on
one thread, so that the figures are per core.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from amortex.core.process import prepare
from amortex.data import SignalData
from amortex.data.packing import pack
from amortex.io.finding import find_files
from amortex.rate_distortion.problem import Problem
from amortex.training.module import AmortizedTrainingModule
from benchmarks.timing import machine, seconds, with_range

BATCH = 8
PACKED_SIZE = 256
REPEATS = 5


def main(options: argparse.Namespace) -> None:
    prepare()
    logging.disable()
    torch.set_num_threads(1)
    sources = list(find_files([str(options.folder)]))[: options.images]
    print(f"{machine()}; {len(sources)} images of {options.folder.name}; medians of {REPEATS} [lowest, highest]\n")
    print(f"| images per second and core | folder | packed ({PACKED_SIZE} px) | memory | a training step uses |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        tar, links = Path(temporary, "packed.tar"), Path(temporary, "links")
        pack(sources, tar, PACKED_SIZE)
        links.mkdir()
        for number, source in enumerate(sources):
            (links / f"{number:08d}{source.path.suffix}").symlink_to(source.path.resolve())
        for size in options.size:
            module = AmortizedTrainingModule(Problem(input_size=size))
            config, count = module.data_config, len(sources) - 1
            memory = batches(links, size, config, cache_gib=8.0)
            loaded(memory, count)
            ways = [batches(links, size, config), batches(tar, size, config), memory]
            rounds = [[loaded(way, count) for way in ways] for _ in range(REPEATS)]
            rates = [*zip(*rounds, strict=True), used(module, size)]
            print(f"| {size} px | " + " | ".join(with_range(rate, digits=0) for rate in rates) + " |", flush=True)


def batches(source: Path, size: int, config: dict[str, Any], cache_gib: float = 0.0) -> Iterator[Any]:
    """Training batches of a source, without end."""
    data = SignalData(str(source), batch_size=BATCH, workers=0, input_size=size, val_images=1, cache_gib=cache_gib)
    data.configure(config)
    data.setup("fit")
    return iter(data.train_dataloader())


def loaded(source: Iterator[Any], count: int) -> float:
    """Images per second, in the mean of `count`."""
    start = time.perf_counter()
    for _ in range(count // BATCH):
        next(source)
    return count // BATCH * BATCH / (time.perf_counter() - start)


def used(module: AmortizedTrainingModule, size: int) -> list[float]:
    """Images per second of training steps: the losses and their gradients."""
    image = torch.rand(BATCH, 3, size, size)

    def step() -> None:
        module.objective(image, list(range(BATCH)), progress=0.5, step=0)[0].backward()

    step()
    return [BATCH / seconds(step) for _ in range(REPEATS)]

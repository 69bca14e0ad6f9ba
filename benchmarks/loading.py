"""Does the input pipeline keep up? Training images that one core makes per second, beside those that a step uses.

    python benchmarks/loading.py FOLDER [--images 512] [--size 128 224]

From the files of a folder, from a tar file that `train.py pack` makes of them, and from memory (`cache_gib`: the second
time around). All on one thread, so that the numbers are per core.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from timing import machine

from amortex.core.process import prepare
from amortex.data import ImageData
from amortex.data.packing import pack
from amortex.io.images import find_images
from amortex.training.module import AmortizedTrainingModule
from amortex.training.objective import Objective

BATCH = 8


def loader(source: Path, size: int, config: dict[str, Any], cache_gib: float = 0.0) -> Any:
    data = ImageData(str(source), batch_size=BATCH, workers=0, size=size, val_images=1, cache_gib=cache_gib)
    data.configure(config)
    data.setup("fit")
    return iter(data.train_dataloader())


def rate(batches: Any, count: int) -> float:
    """Images per second."""
    start = time.perf_counter()
    for _ in range(count // BATCH):
        next(batches)
    return count // BATCH * BATCH / (time.perf_counter() - start)


def need(module: AmortizedTrainingModule, size: int, repeats: int = 5) -> float:
    """Images per second that training steps use."""
    objective, image = Objective(module.predictor, module.settings), torch.rand(BATCH, 3, size, size)
    times = []
    for step in range(repeats + 1):
        start = time.perf_counter()
        loss, _ = objective(image, list(range(BATCH)), 0.5, step)
        loss.backward()
        times.append(time.perf_counter() - start)
    return BATCH / sorted(times[1:])[repeats // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--size", type=int, nargs="+", default=[128, 224])
    options = parser.parse_args()
    prepare()
    logging.disable()
    torch.set_num_threads(1)
    sources = list(find_images([str(options.folder)]))[: options.images]
    print(f"{machine()}; {len(sources)} images of {options.folder.name}\n")
    print("| images per second and core | folder | packed (256 px) | memory | a training step uses |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        tar, links = Path(name, "packed.tar"), Path(name, "links")
        pack(sources, tar, 256)
        links.mkdir()
        for number, source in enumerate(sources):
            (links / f"{number:08d}{source.path.suffix}").symlink_to(source.path.resolve())
        for size in options.size:
            module = AmortizedTrainingModule(input_size=size)
            config, count = module.data_config, len(sources) - 1
            memory = loader(links, size, config, cache_gib=8.0)
            rates = [rate(loader(links, size, config), count), rate(loader(tar, size, config), count)]
            rate(memory, count)
            rates += [rate(memory, count), need(module, size)]
            print(f"| {size} px | " + " | ".join(f"{value:.0f}" for value in rates) + " |", flush=True)


if __name__ == "__main__":
    main()

"""Train the bundled classifier of 3-D digits: ``python scripts/train_digits3d.py`` writes it, and some volumes.

Repeatable on one machine with one thread.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from amortex.classifiers.digits3d import WEIGHTS, Digits3DNet
from amortex.data.digits3d import Digits3D
from amortex.data.moving_digits import MovingDigits
from amortex.io.files import write_atomically

VOLUMES = (3, 8, 0, 5, 7)  # digits of the bundled volumes
POSES, BATCH, LR = 10, 64, 4e-3
MEAN_STD = ("mean", "std")
Labelled = Digits3D | MovingDigits


def load(source: Labelled) -> tuple[Tensor, Tensor]:
    """All volumes ``(N, C, *size)`` and labels ``(N,)``."""
    volumes = torch.stack([source.open(index) for index in range(len(source))])
    return volumes, torch.tensor([source.label(index) for index in range(len(source))])


def normalise(network: Digits3DNet, volumes: Tensor) -> Tensor:
    """Volumes as the network takes them."""
    mean, std = (network.pretrained_cfg[key][0] for key in MEAN_STD)
    normalised: Tensor = (volumes - mean) / std
    return normalised


@torch.no_grad()
def accuracy(network: Digits3DNet, volumes: Tensor, labels: Tensor) -> float:
    """Share of volumes whose class is right."""
    network.eval()
    logits = torch.cat([network(normalise(network, part)) for part in volumes.split(256)])
    network.train()
    return (logits.argmax(1) == labels).float().mean().item()


def train(network: Digits3DNet, source: Labelled, validation: Labelled, epochs: int) -> float:
    """Train a network in place, round its weights to float16, and measure its accuracy on digits that are held out."""
    volumes, labels = load(source)
    held_out = load(validation)
    print(f"mean {volumes.mean():.3f}, std {volumes.std():.3f} of {len(volumes)} volumes", flush=True)
    per_epoch = len(volumes) // source.poses // BATCH  # an epoch sees each digit once
    optimizer = torch.optim.AdamW(network.parameters(), LR, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=epochs * per_epoch)
    for epoch in range(epochs):
        for batch in torch.randperm(len(volumes))[: per_epoch * BATCH].split(BATCH):
            loss = F.cross_entropy(network(normalise(network, volumes[batch])), labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1}: loss {loss.item():.3f}, accuracy {accuracy(network, *held_out):.3f}", flush=True)
    network.half().float()
    return accuracy(network, *held_out)


def write_weights(file: Path, network: Digits3DNet, **metadata: object) -> None:
    """A safetensors file of float16, with texts beside the weights."""
    file.parent.mkdir(parents=True, exist_ok=True)
    weights = {key: value.half() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    write_atomically(file, save(weights, {key: str(value) for key, value in metadata.items()}))


def write_volumes(folder: Path, network: Digits3DNet) -> None:
    """One ``digitN.npz`` of uint8 ``(16, 16, 16)`` for each of `VOLUMES`, the first held-out one that is recognised."""
    source = Digits3D("validation")
    network.eval()
    folder.mkdir(parents=True, exist_ok=True)
    for digit in VOLUMES:
        for index in (index for index in range(len(source)) if source.label(index) == digit):
            volume = (source.open(index) * 255).round()
            if network(normalise(network, volume[None] / 255)).argmax() == digit:
                np.savez_compressed(folder / f"digit{digit}.npz", volume=volume[0].to(torch.uint8).numpy())
                break


def command(
    description: str | None,
    make: Callable[[], Digits3DNet],
    data: Callable[[], tuple[Labelled, Labelled]],
    weights: Path,
    epochs: int,
) -> tuple[Path, Digits3DNet]:
    """The command line: train a network on the first of `data`, test it on the second, write it; where, and what."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=weights)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    torch.manual_seed(options.seed)
    network = make()
    share = train(network, *data(), options.epochs)
    write_weights(options.out, network, accuracy=f"{share:.4f}", epochs=options.epochs, seed=options.seed)
    count = sum(parameter.numel() for parameter in network.parameters())
    seconds = time.perf_counter() - start
    print(f"{count} weights, accuracy {share:.3f} on held-out digits, {seconds:.0f} s: {options.out}")
    return options.out, network


def main() -> None:
    out, network = command(
        __doc__, Digits3DNet, lambda: (Digits3D("train", POSES), Digits3D("validation", poses=5)), WEIGHTS, 15
    )
    write_volumes(out.parents[1] / "volumes", network)


if __name__ == "__main__":
    main()

"""Train a small classifier of images twice, as usual and adversarially: ``train_robust.py --data FOLDER``.

Both networks of a seed start from the same weights and see the same crops in the same order. The weights are files for
``--classifier ARCHITECTURE --weights FILE --input-size SIZE``, and for the section ``robustness`` of a comparison.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.datasets import ImageFolder

from amortex.classifiers.data_config import data_config_of
from amortex.core.errors import InputError
from amortex.io.files import write_atomically
from amortex.io.images import Preprocess

PAD = 4  # pixels that a crop is shifted by at most
WEIGHT_DECAY, LABEL_SMOOTHING = 0.05, 0.1
EVALUATION_STEPS = 20  # of the attack that robust accuracy is measured with
STEP = 2.5  # of the way to the border of the ball, which all steps together could go


class Labelled(NamedTuple):
    """Images ``(N, C, H, W)`` of uint8, and their classes ``(N,)``."""

    images: Tensor
    labels: Tensor


class Normalised(nn.Module):
    """A network that takes pixels in [0, 1]: attacks are bounded there."""

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(-1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network((image - self.mean) / self.std)
        return logits


def load(folder: Path, preprocess: Preprocess, classes: list[str] | None = None) -> tuple[Labelled, list[str]]:
    """The images below a folder that has a subfolder for each class, and the names of the classes.

    Files that cannot be read are left out, and named.

    Raises:
        InputError: there are no such subfolders, or they are others than those of the given `classes`.
    """
    try:
        source = ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: give a folder with train and val, both with a folder of images per class"
        ) from error
    if classes is not None and source.classes != classes:
        raise InputError(f"{folder} has other classes than the training images: {', '.join(source.classes)}")
    images, labels = [], []
    for path, label in source.samples:
        try:
            images.append((preprocess.load(path) * 255).round().to(torch.uint8))
            labels.append(label)
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)
    if not images:
        raise InputError(f"{folder}: none of its images can be read")
    return Labelled(torch.stack(images), torch.tensor(labels)), source.classes


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pixels in [0, 1] of images of uint8, each flipped or not and shifted by up to `PAD` pixels."""
    count, _, height, width = images.shape
    padded = F.pad(images.float() / 255, (PAD,) * 4, mode="reflect")
    rows = torch.randint(2 * PAD + 1, (count, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(2 * PAD + 1, (count, 1), generator=generator) + torch.arange(width)
    columns = torch.where(torch.rand(count, 1, generator=generator) < 0.5, columns, columns.flip(1))
    return padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None]].movedim(-1, 1)


def attacked(model: nn.Module, image: Tensor, label: Tensor, epsilon: float, steps: int) -> Tensor:
    """Images within ``epsilon`` of the given ones in every pixel, and in [0, 1], whose loss is high.

    Projected gradient ascent from a random start (Madry et al., Towards Deep Learning Models Resistant to Adversarial
    Attacks, ICLR 2018, section 2.1).

    Arguments:
        model: takes pixels in [0, 1].
        image: ``(B, C, H, W)``.
        label: their classes ``(B,)``.
        epsilon: the radius of the ball in the maximum norm.
        steps: of the ascent.
    """
    low, high = (image - epsilon).clamp(min=0), (image + epsilon).clamp(max=1)
    adversarial = torch.empty_like(image).uniform_(-epsilon, epsilon).add(image).clamp(low, high)
    for _ in range(steps):
        adversarial.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(adversarial), label), adversarial)
        adversarial = (adversarial.detach() + STEP * epsilon / steps * gradient.sign()).clamp(low, high)
    return adversarial.detach()


def accuracy(model: nn.Module, data: Labelled, epsilon: float = 0.0) -> float:
    """Share of images whose class is right, under an attack if `epsilon` is not 0."""
    model.eval()
    right = 0
    for images, labels in zip(data.images.split(128), data.labels.split(128), strict=True):
        pixels = images.float() / 255
        pixels = attacked(model, pixels, labels, epsilon, EVALUATION_STEPS) if epsilon else pixels
        with torch.no_grad():
            right += int((model(pixels).argmax(1) == labels).sum())
    return right / len(data.labels)


def train(model: nn.Module, data: Labelled, epsilon: float, seed: int, options: argparse.Namespace) -> None:
    """Train a network in place, on attacked images if `epsilon` is not 0."""
    generator = torch.Generator().manual_seed(seed)  # the same crops, whatever the attack draws
    model.train()
    per_epoch = -(-len(data.labels) // options.batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), options.lr, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=options.epochs * per_epoch)
    for epoch in range(options.epochs):
        total = 0.0
        for batch in torch.randperm(len(data.labels), generator=generator).split(options.batch_size):
            pixels, labels = augmented(data.images[batch], generator), data.labels[batch]
            if epsilon:
                pixels = attacked(model, pixels, labels, epsilon, options.attack_steps)
            loss = F.cross_entropy(model(pixels), labels, label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() / per_epoch
        print(f"  epoch {epoch + 1}: loss {total:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train and val, a folder per class in both"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/robust"), help="folder of the weights")
    parser.add_argument("--architecture", default="test_resnet", help="name of one of timm's networks")
    parser.add_argument("--input-size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="a standard and a robust network for each")
    parser.add_argument("--epsilon", type=float, default=4, help="of the attack, in 1/255 of the range of pixels")
    parser.add_argument("--attack-steps", type=int, default=3, help="gradients of the attack in training")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    options = parser.parse_args()
    try:
        run(options)
    except InputError as error:
        parser.error(str(error))


def run(options: argparse.Namespace) -> None:
    """Train and write the networks of all seeds."""
    if not timm.is_model(options.architecture):
        raise InputError(f"timm has no model {options.architecture!r}")
    network = timm.create_model(options.architecture)
    config = data_config_of(network, options.architecture, None, {"input_size": options.input_size})
    data, classes = load(options.data / "train", Preprocess(config))
    held_out, _ = load(options.data / "val", Preprocess(config), classes)
    print(
        f"{len(data.labels)} images for training, {len(held_out.labels)} held out, {len(classes)} classes", flush=True
    )
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / "classes.txt", "\n".join(classes).encode())
    for seed in options.seeds:
        for name, epsilon in (("standard", 0.0), ("robust", options.epsilon / 255)):
            start = time.perf_counter()
            torch.manual_seed(seed)
            network = timm.create_model(options.architecture, num_classes=len(classes))
            model = Normalised(network, config["mean"], config["std"])
            train(model, data, epsilon, seed, options)
            scores = {"accuracy": accuracy(model, held_out)}
            scores["robust accuracy"] = accuracy(model, held_out, options.epsilon / 255)
            texts = {key: f"{value:.4f}" for key, value in scores.items()}
            file = options.out / f"{name}_{seed}.safetensors"
            write_atomically(file, save(network.state_dict(), {**texts, "epsilon": f"{epsilon:.5f}"}))
            print(f"{file}: {texts}, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()

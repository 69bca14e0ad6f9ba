"""The arguments of every benchmark, by its name. They import nothing heavy, so that --help answers at once."""

import argparse
from collections.abc import Callable
from pathlib import Path

from amortex.classifiers.default import DEFAULT_CLASSIFIER
from amortex.core.modalities import MODALITIES
from amortex.explainers.presets import PRESETS
from benchmarks.processes import DEFAULT_THREADS, checkout

Parser = argparse.ArgumentParser


def photographs(parser: Parser, images: int) -> None:
    """Which photographs are explained, `images` of them by default."""
    parser.add_argument("folder", type=Path, help="holds the photographs")
    parser.add_argument("--images", type=int, default=images, help="how many of them, evenly spaced in sorted order")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")


def repeats(parser: Parser, default: int, of: str = "amortex and the bare work in turn, this often") -> None:
    parser.add_argument("--repeats", type=int, default=default, help=of)


def convergence(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, nargs="?", help="holds the signals; by default the bundled ones")
    parser.add_argument("--modality", choices=MODALITIES, default="image", help="of the signals")
    parser.add_argument("--images", type=int, default=5, help="how many of them, evenly spaced in sorted order")
    parser.add_argument(
        "--size", type=int, help="side of the signals; by default 128 pixels, or what the classifier takes"
    )
    parser.add_argument("--presets", nargs="*", default=["fast", "fast:steps=3200"],
                        help="names, with changes after colons")  # fmt: skip
    parser.add_argument("--passes", type=int, nargs="+", default=[], help="budgets of the trained explainer")
    parser.add_argument("--lambda-k", type=float, nargs="+", default=[2.5, 10.0], help="sparsity weights")
    parser.add_argument("--points", type=int, default=6, help="points on each curve")
    parser.add_argument("--samples", type=int, default=64, help="noise draws per mask that is measured")
    parser.add_argument("--out", type=Path, help="folder for the table as CSV and the plot; a run goes on there")


def amortized(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, help="holds photographs, sounds or volumes, as the explainers take them")
    parser.add_argument("--images", type=int, default=64, help="how many of them, evenly spaced in sorted order")
    parser.add_argument("--size", type=int, help="side of photographs in pixels; by default that of training")
    parser.add_argument("--explainer", required=True, nargs="+", help="checkpoints or releases, for one classifier")
    parser.add_argument("--lambda-k", type=float, nargs="+", default=[1.0, 2.5, 5.0, 10.0], help="sparsity weights")
    parser.add_argument("--samples", type=int, default=16, help="noise draws per mask")


def monotone(parser: Parser) -> None:
    photographs(parser, images=64)
    parser.add_argument("--explainer", help="a checkpoint or a release, instead of the one that comes with amortex")
    parser.add_argument("--learned-steps", type=int, help="0 for masks of one pass; by default as many as explain.py")
    parser.add_argument("--samples", type=int, default=64, help="noise draws per mask")
    parser.add_argument("--adam", action="store_true", help="densification paths by Adam, also where steps are learned")


def peers(parser: Parser) -> None:
    photographs(parser, images=16)
    parser.set_defaults(size=224)
    parser.add_argument("--methods", nargs="+", default=[], metavar="TEXT",
                        help="those whose names hold one of these texts, such as captum; by default all")  # fmt: skip
    parser.add_argument("--passes", type=int, nargs="+", default=[28, 64], help="budgets of the trained explainer")
    parser.add_argument("--samples", type=int, default=16, help="noise draws per mask")
    parser.add_argument("--insertion-steps", type=int, default=32, help="intervals of insertion and deletion")
    parser.add_argument("--out", type=Path, help="folder for the table as CSV and the plot; a run goes on there")


def batches(parser: Parser) -> None:
    photographs(parser, images=8)
    parser.add_argument("--lambda-k", type=float, default=5.0, help="sparsity weight")
    parser.add_argument("--preset", choices=PRESETS, default="fast", help="of CartoonX")
    parser.add_argument("--steps", type=int, default=200, help="of CartoonX")


def independent(parser: Parser) -> None:
    photographs(parser, images=64)
    parser.add_argument("--method", choices=("cartoonx", "amortized"), default="cartoonx", help="whose masks")
    parser.add_argument("--lambda-k", type=float, default=5.0, help="sparsity weight")
    parser.add_argument("--samples", type=int, default=256, help="noise draws per mask, a multiple of 16")
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps the masks; a run goes on there")


def teachers(parser: Parser) -> None:
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    repeats(parser, 7)


def cost(parser: Parser) -> None:
    parser.add_argument("--classifier", default=DEFAULT_CLASSIFIER, help="a timm name")
    parser.add_argument("--size", type=int, default=224, help="side of the images that are explained")
    parser.add_argument("--train-size", type=int, default=128, help="side of the 8 images of a training step")
    parser.add_argument("--steps", type=int, default=20, help="CartoonX steps that are timed")
    repeats(parser, 9)


def signals(parser: Parser) -> None:
    parser.add_argument("--parts", nargs="+", choices=("wam", "transforms"), default=["wam", "transforms"],
                        help="what is measured")  # fmt: skip
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="signals that WAM-SG explains at once")
    parser.add_argument("--times", type=int, default=10, help="transforms in a repeat")
    parser.add_argument("--threads", type=int, help="of torch; by default as many as it takes")
    repeats(parser, 5)


def page(parser: Parser) -> None:
    parser.add_argument("--parts", nargs="+", choices=("stroke", "slider", "frames"),
                        default=["stroke", "slider", "frames"], help="what is measured")  # fmt: skip
    repeats(parser, 9)


def page_crowd(parser: Parser) -> None:
    parser.add_argument("--people", type=int, default=10, help="how many, besides a greedy one")
    parser.add_argument("--seconds", type=float, default=60, help="for which they ask")


def clips(parser: Parser) -> None:
    parser.add_argument("--clips", type=int, default=32, help="how many held-out clips, the first ones")
    parser.add_argument("--batch-size", type=int, default=8, help="clips that are explained at once")
    parser.add_argument("--lambda-k", type=float, default=5.0, help="sparsity weight")
    parser.add_argument("--preset", choices=PRESETS, default="fast", help="of CartoonX")


def loading(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, help="holds the photographs")
    parser.add_argument("--images", type=int, default=512, help="how many of them, the first in sorted order")
    parser.add_argument("--size", type=int, nargs="+", default=[128, 224], help="sides of the training images")


def scaling(parser: Parser) -> None:
    parser.add_argument("--classifier", default=DEFAULT_CLASSIFIER, help="a timm name")
    parser.add_argument("--size", type=int, default=128, help="side of the images in pixels")
    parser.add_argument("--steps", type=int, default=2, help="CartoonX steps that are timed")
    repeats(parser, 9, "one process and two in turn, this often")


def startup(parser: Parser) -> None:
    repeats(parser, 5, "all commands in turn, this often, after once to warm up")


def busy(parser: Parser) -> None:
    parser.add_argument("--steps", type=int, default=20, help="training steps of each run")
    parser.add_argument("--loops", type=int, default=1, help="busy processes")
    parser.add_argument(
        "--threads",
        nargs="+",
        default=[DEFAULT_THREADS, "OMP_WAIT_POLICY=PASSIVE", "GOMP_SPINCOUNT=10000", "OMP_NUM_THREADS=1"],
        help="environment variables, those of one setting joined by commas; default sets none of them",
    )
    parser.add_argument("--against", type=checkout, metavar="CHECKOUT", help="measure another checkout, too")
    repeats(parser, 3, "all runs in turn, this often")


def against(parser: Parser) -> None:
    parser.add_argument("checkout", type=checkout, help="folder of the other checkout")
    parser.add_argument("--steps", type=int, default=20, help="training steps of each run")
    parser.add_argument("--size", type=int, default=256, help="side of CartoonX's image")
    parser.add_argument("--busy", action="store_true", help="measure how training slows down beside a busy loop, too")
    parser.add_argument("--suite", action="store_true", help="time the test suites, too, once each")
    repeats(parser, 5, "both checkouts in turn, this often, after once to warm up")


def kills(parser: Parser) -> None:
    parser.add_argument("--kills", type=int, default=200, help="shared out among the jobs")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")


def gpu(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of the table and of the checkpoint")
    parser.add_argument("--train", help="folder or tar file of photographs; without it nothing is trained")
    parser.add_argument("--start", help="checkpoint or release that training begins with; by default the bundled one")
    parser.add_argument("--device", default="cuda", help="of torch")
    parser.add_argument("--steps", type=int, default=2000, help="of the training: its learning rate takes one cycle")
    parser.add_argument("--minutes", type=float, default=12.0, help="that all of it may take")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=256, help="images at once")
    parser.add_argument("--quick", action="store_true", help="2 images of 64 px, few steps: shows that it runs")
    repeats(parser, 5, "each figure this often")


QUALITY: tuple[Callable[[Parser], None], ...] = (convergence, amortized, monotone, peers, batches, independent, clips)
SPEED: tuple[Callable[[Parser], None], ...] = (teachers, cost, signals, page, loading, scaling, startup, busy, against,
                                                gpu)  # fmt: skip
ARGUMENTS = {function.__name__: function for function in (*QUALITY, *SPEED, page_crowd, kills)}

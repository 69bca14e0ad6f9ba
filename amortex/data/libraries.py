"""Sources by name: ``embedded``, a folder, ``torch/imagenette``, or what `timm.data.create_dataset` understands."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timm.data import create_dataset
from torchvision.datasets import Imagenette

from amortex.core.errors import InputError
from amortex.data.photographs import embedded
from amortex.data.sources import Files, ImageSource, Library

PACKAGES = {"hfds": "datasets", "hfids": "datasets", "wds": "webdataset", "tfds": "tensorflow-datasets"}
STREAMS = ("wds", "tfds", "hfids")  # timm reads these from start to end only
REMOTE = ("://", "pipe:")
IMAGENETTE = {"torch/imagenette": "full", "torch/imagenette-320px": "320px", "torch/imagenette-160px": "160px"}


@dataclass(frozen=True)
class Stream:
    """A data set that can only be read from start to end."""

    name: str
    root: str | None
    split: str

    def open(self, seed: int = 0, training: bool = False) -> Any:
        """timm's iterable data set of (image, label), shuffled for training."""
        make: dict[str, Any] = {"root": self.root, "split": self.split, "seed": seed, "is_training": training}
        # modes are converted here, but TFDS makes no image without being told a mode
        mode = "RGB" if kind(self.name) == "tfds" else ""
        with _clear_errors(self.name):
            return create_dataset(self.name, input_img_mode=mode, **make)


def has_splits(name: str) -> bool:
    """Whether a source brings its own training and validation splits."""
    return kind(name) in ("torch", *PACKAGES)


def kind(name: str) -> str:
    """``embedded``, ``files``, ``tar``, ``folder`` (timm's reader), or the prefix of a library.

    Raises:
        InputError: the name means nothing.
    """
    prefix, slash, _ = name.partition("/")
    if name in ("embedded", "folder"):
        return name
    if slash and prefix.lower() in ("torch", *PACKAGES):
        return prefix.lower()
    path = Path(name).expanduser()
    if path.exists():
        return "tar" if path.suffix == ".tar" else "files"
    raise InputError(
        f"{name}: no such folder, and no data set of a known kind: give a folder of images, embedded, torch/imagenette,"
        " or hfds/NAME, wds/NAME, tfds/NAME, torch/NAME as timm reads them"
    )


def open_source(name: str, root: str | None, split: str | None, download: bool = False) -> ImageSource | Stream:
    """The source that a name means.

    Arguments:
        name: see `kind`; ``folder`` reads `root` with timm, which looks for a subfolder named after the split.
        root: the folder of a library's data set, or where it is cached.
        split: the library's name of the part to read.
        download: allow libraries to download.

    Raises:
        InputError: there is no such source, it is empty, or it would have to be downloaded.
    """
    family = kind(name)
    if family == "embedded":
        return embedded()
    if family == "files":
        return Files.below(Path(name).expanduser())
    remote = any(mark in f"{root} {split}" for mark in REMOTE)
    root = root if root is None or remote else str(Path(root).expanduser())
    if family == "tar":
        root = str(Path(name).expanduser())
    elif root is None and family in ("folder", "torch", "wds"):
        raise InputError(f"{name} needs the folder of the data set: give train_root (val_root for validation)")
    elif family == "folder" and not Path(str(root)).exists():
        raise InputError(f"{root}: no such folder")
    if not download and (family == "hfids" or remote):
        raise InputError(f"{name} is read over the network: set download to true to allow that")
    split = split or "train"
    if family in STREAMS:
        return Stream(name, root, split)
    with _clear_errors(name), _offline(family == "hfds" and not download):
        if name.lower() in IMAGENETTE:
            # the loader returns the path, to decode as all other files are
            dataset = Imagenette(str(root), split, IMAGENETTE[name.lower()], download=download, loader=str)
            paths = [path for path, _ in dataset]
            source: ImageSource = Files(paths, Path(str(root)))
        else:
            library = "" if family in ("tar", "folder") else name
            options: dict[str, Any] = {"download": download} if family == "torch" else {"input_img_mode": ""}
            source = Library(create_dataset(library, root=root, split=split, **options), name)
    if not len(source):
        raise InputError(f"{name}: no images in split {split!r}")
    return source


@contextmanager
def _clear_errors(name: str) -> Iterator[None]:
    """Libraries fail in their own ways: one line that says which data set and why."""
    try:
        yield
    except (InputError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        package = PACKAGES.get(name.partition("/")[0].lower())
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        if package and (isinstance(error, ImportError) or "install" in first):
            raise InputError(f"{name} needs a further package: pip install {package}") from error
        if "download=True" in first or isinstance(error, (FileNotFoundError, ConnectionError)):
            raise InputError(f"{name}: not found here; give its root folder, or set download to true") from error
        raise InputError(f"{name} cannot be opened ({first[:200]}): check the name, the root and the split") from error


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Hugging Face data sets only from the cache, as nothing is downloaded unasked."""
    if not wanted:
        yield
        return
    import datasets
    from huggingface_hub import constants

    places = [(datasets.config, "HF_HUB_OFFLINE"), (constants, "HF_HUB_OFFLINE")]
    before = [getattr(place, key) for place, key in places]
    for place, key in places:
        setattr(place, key, True)
    try:
        yield
    finally:
        for (place, key), value in zip(places, before, strict=True):
            setattr(place, key, value)

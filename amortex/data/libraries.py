"""Sources by name: ``embedded``, a folder, an archive, ``torch/imagenette``, or one of `timm.data.create_dataset`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timm.data import create_dataset
from torchvision.datasets import Imagenette

from amortex.core.catalog import load, similar_names
from amortex.core.errors import InputError, first_line
from amortex.core.modalities import MODALITIES, Modality
from amortex.data.archives import ArchiveSource, splits_of
from amortex.data.photographs import embedded_photographs
from amortex.data.preparation import Preparation
from amortex.data.sources import FileSource, LibrarySource, SignalSource
from amortex.io.bundled import bundled_folder

# prefix of the name -> package that reads such data sets
PACKAGES = {"hfds": "datasets", "hfids": "datasets", "wds": "webdataset", "tfds": "tensorflow-datasets"}
# volumes that are made as they are needed
GENERATED = {"digits3d": "amortex.data.digits3d:Digits3D", "moving_digits": "amortex.data.moving_digits:MovingDigits"}
STREAMED = ("wds", "tfds", "hfids")  # timm reads these from start to end only
REMOTE_MARKS = ("://", "pipe:")
IMAGENETTE = {"torch/imagenette": "full", "torch/imagenette-320px": "320px", "torch/imagenette-160px": "160px"}


@dataclass(frozen=True)
class ImageStream:
    """A data set that can only be read from start to end.

    Arguments:
        name: as `timm.data.create_dataset` takes it.
        root: folder of the data set, or of its cache.
        split: the library's name of the part to read.
    """

    name: str
    root: str | None
    split: str

    def open(self, seed: int = 0, training: bool = False) -> Any:
        """timm's iterable data set of (image, label), shuffled for training."""
        options: dict[str, Any] = {"root": self.root, "split": self.split, "seed": seed, "is_training": training}
        # `to_colour` converts modes, but TFDS makes no image unless it is given a mode
        mode = "RGB" if source_kind(self.name) == "tfds" else ""
        with _clear_errors(self.name):
            return create_dataset(self.name, input_img_mode=mode, **options)


def has_splits(kind: str) -> bool:
    """Whether a source of a kind brings its own training and validation splits."""
    return kind in (*GENERATED, "archive", "torch", *PACKAGES)


def validation_split(name: str, kind: str) -> str:
    """What a source calls its validation split."""
    return "val" if kind == "archive" or name.startswith("torch/imagenette") else "validation"


def source_kind(name: str, modality: Modality = MODALITIES["image"]) -> str:
    """The kind of a source of signals of a `modality`.

    One of ``embedded``, the names of `GENERATED`, ``files``, ``archive`` (of volumes), ``tar``, ``folder`` (timm's
    reader), or the prefix of a library.

    Raises:
        InputError: there is no such source, or it is one of other signals.
    """
    kind, image, volume = _kind(name), modality.name == "image", modality.name == "volume"
    if kind == "embedded" and volume:
        return "digits3d"
    of_images = kind in ("folder", "tar", "torch", *PACKAGES)
    if (of_images and not image) or (kind in (*GENERATED, "archive") and not volume):
        raise InputError(f"{name} holds {'image' if of_images else 'volume'}s: the classifier takes {modality.noun}s")
    if kind:
        return kind
    known = {"image": ("embedded", "folder", *IMAGENETTE), "audio": ("embedded",), "volume": (*GENERATED, "embedded")}
    hint = similar_names(name, known[modality.name])
    others = ", torch/imagenette, or hfds/NAME, wds/NAME, tfds/NAME, torch/NAME as timm reads them" if image else ""
    made = ", ".join(GENERATED)
    archive = f", an archive file.npz with the arrays train_images and val_images, {made}" if volume else ""
    raise InputError(
        f"{name}: no such folder, and no data set of a known kind: {hint}{' Or ' if hint else ''}give a folder of"
        f" {modality.noun}s{archive}, embedded{others}"
    )


def _kind(name: str) -> str:
    """As `source_kind`, whatever the signals; empty where there is no such source."""
    prefix, slash, _ = name.partition("/")
    if name in ("embedded", "folder", *GENERATED):
        return name
    if slash and prefix.lower() in ("torch", *PACKAGES):
        return prefix.lower()
    path = Path(name).expanduser()
    if not path.exists():
        return ""
    return "archive" if splits_of(path) else "tar" if path.suffix == ".tar" else "files"


def open_source(
    name: str, root: str | None, split: str | None, preparation: Preparation, download: bool = False
) -> SignalSource | ImageStream:
    """The source of a name.

    Arguments:
        name: see `source_kind`; ``folder`` reads `root` with timm, which looks for a subfolder named after the split.
        root: the folder of a library's data set, or where it is cached.
        split: the library's name of the part to read.
        preparation: for the classifier: it tells which signals are wanted, and reads files.
        download: allow libraries to download.

    Raises:
        InputError: there is no such source, it is empty, or it would have to be downloaded.
    """
    modality = preparation.modality
    kind = source_kind(name, modality)
    if kind == "embedded" and modality.name == "image":
        return embedded_photographs()
    if kind in GENERATED:
        generated: SignalSource = load(GENERATED[kind])(split or "train")
        return generated
    if kind == "archive":
        return ArchiveSource(Path(name).expanduser(), split or "train", preparation.prepare)
    if kind in ("embedded", "files"):
        path = bundled_folder(modality.name) if kind == "embedded" else Path(name).expanduser()
        return FileSource.below(path, modality, preparation.read)
    remote = any(mark in f"{root} {split}" for mark in REMOTE_MARKS)
    root = root if root is None or remote else str(Path(root).expanduser())
    if kind == "tar":
        root = str(Path(name).expanduser())
    elif root is None and kind in ("folder", "torch", "wds"):
        raise InputError(f"{name} needs the folder of the data set: give train_root (val_root for validation)")
    elif kind == "folder" and not Path(str(root)).exists():
        raise InputError(f"{root}: no such folder")
    if not download and (kind == "hfids" or remote):
        raise InputError(f"{name} is read over the network: set download to true to allow that")
    split = split or "train"
    if kind in STREAMED:
        return ImageStream(name, root, split)
    with _clear_errors(name), _offline(kind == "hfds" and not download):
        if name.lower() in IMAGENETTE:
            # a loader that returns the path, so that the file is decoded like all others
            dataset = Imagenette(str(root), split, IMAGENETTE[name.lower()], download=download, loader=str)
            paths = [path for path, _ in dataset]
            source: SignalSource = FileSource(paths, Path(str(root)))
        else:
            library = "" if kind in ("tar", "folder") else name
            options: dict[str, Any] = {"download": download} if kind == "torch" else {"input_img_mode": ""}
            source = LibrarySource(create_dataset(library, root=root, split=split, **options), name)
    if not len(source):
        raise InputError(f"{name}: no images in split {split!r}")
    return source


@contextmanager
def _clear_errors(name: str) -> Iterator[None]:
    """Turn the errors of libraries, whatever their types, into one line with the data set and the reason."""
    try:
        yield
    except (InputError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        package = PACKAGES.get(name.partition("/")[0].lower())
        reason = first_line(error).rstrip(".")
        if package and (isinstance(error, ImportError) or "install" in reason):
            raise InputError(f"{name} needs a further package: pip install {package}") from error
        if "download=True" in reason or isinstance(error, (FileNotFoundError, ConnectionError)):
            raise InputError(f"{name}: not found here; give its root folder, or set download to true") from error
        hint = (
            "" if name in IMAGENETTE else similar_names(name, IMAGENETTE)
        ) or "check the name, the root and the split"
        raise InputError(f"{name} cannot be opened ({reason[:200]}): {hint}") from error


@contextmanager
def _offline(active: bool) -> Iterator[None]:
    """Read Hugging Face data sets from the cache alone: nothing is downloaded unless asked for."""
    if not active:
        yield
        return
    import datasets
    from huggingface_hub import constants

    modules: tuple[Any, ...] = (datasets.config, constants)
    settings = [module.HF_HUB_OFFLINE for module in modules]
    for module in modules:
        module.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for module, setting in zip(modules, settings, strict=True):
            module.HF_HUB_OFFLINE = setting

"""Names of classes: from files, from timm's tables, and which class a text means."""

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import nn

from amortex.core.errors import InputError


def index_of(text: str, names: Sequence[str], classifier: str) -> int:
    """The class that a text names: by one of its synonyms, else by whole words of one, else by any part.

    Raises:
        InputError: it names none, or several.
    """
    wanted = text.lower()
    synonyms = [[s.strip().lower() for s in name.split(",")] for name in names]
    tests: tuple[Callable[[str], bool], ...] = (
        lambda name: name == wanted,
        lambda name: f" {wanted} " in f" {name} ",
        lambda name: wanted in name,
    )
    for test in tests:  # a whole name, else whole words of one, else any part
        found = [(i, next(filter(test, names))) for i, names in enumerate(synonyms) if any(map(test, names))]
        if len(found) > 1:
            some = ", ".join(f"{i} ({name})" for i, name in found[:5])
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            raise InputError(f"{text!r} names several classes: {some}{more}; give one of the indices")
        if found:
            return found[0][0]
    near = difflib.get_close_matches(wanted, [name for names in synonyms for name in names], n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else ": give another name, or an index"
    raise InputError(f"no class of {classifier} is named {text!r}{hint}")


def read_class_names(path: str | Path | Sequence[str]) -> list[str]:
    """The names as they are, or those of a text file with one per line.

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    if not isinstance(path, str | Path):
        return list(path)
    if Path(path).exists() and not Path(path).is_file():
        raise InputError(f"cannot read class names from {path}: it is no regular file")
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read class names from {path}: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path} holds no class names: write one per line")
    return names


def known_class_names(model: nn.Module) -> list[str] | None:
    """ImageNet's names from timm's own tables, or the names a hub model carries."""
    config = getattr(model, "pretrained_cfg", None) or {}
    labels, descriptions = config.get("label_names"), config.get("label_descriptions") or {}
    subset = infer_imagenet_subset(model) if hasattr(model, "num_classes") else None
    if labels:
        labels = labels.values() if isinstance(labels, dict) else labels
        names = [str(descriptions.get(label, label)) for label in labels]
    elif subset is not None:
        names = list(ImageNetInfo(subset).label_descriptions())
    else:
        return None
    return names if len(names) == getattr(model, "num_classes", None) else None  # else its head is for other classes

"""Names of classes: from files, from timm's tables, and the class that a text names."""

from collections.abc import Callable, Sequence
from pathlib import Path

from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import nn

from amortex.core.catalog import similar_names
from amortex.core.errors import InputError

MAX_LISTED = 5  # classes that an error names


def short_name(index: int, names: Sequence[str] | None) -> str:
    """The first synonym of a class; without names, "class 0" and so on."""
    return f"class {index}" if names is None else names[index].split(",")[0].strip()


def class_index(target: str | int, names: Sequence[str] | None, num_classes: int, classifier: str) -> int:
    """The class of an index or a name.

    Raises:
        InputError: no such class, or several, or a name where classes have none.
    """
    text = str(target).strip()
    try:
        index = int(text)
    except ValueError:
        if names is None:
            raise InputError(f"{classifier} has no class names: give --target as an index, or --class-names") from None
        return index_of(text, names, classifier)
    if not 0 <= index < num_classes:
        raise InputError(f"class {index} does not exist: {classifier} has classes 0 to {num_classes - 1}")
    return index


def index_of(text: str, names: Sequence[str], classifier: str) -> int:
    """The class that a text names: by a synonym, else by whole words of one, else by any part of one.

    Raises:
        InputError: it names none, or several.
    """
    query = text.lower()
    synonyms = [[synonym.strip().lower() for synonym in name.split(",")] for name in names]
    tests: tuple[Callable[[str], bool], ...] = (
        lambda name: name == query,
        lambda name: f" {query} " in f" {name} ",
        lambda name: query in name,
    )
    for test in tests:
        matches = [(index, next(filter(test, group))) for index, group in enumerate(synonyms) if any(map(test, group))]
        if len(matches) > 1:
            listed = ", ".join(f"{index} ({name})" for index, name in matches[:MAX_LISTED])
            rest = f" and {len(matches) - MAX_LISTED} more" if len(matches) > MAX_LISTED else ""
            raise InputError(f"{text!r} names several classes: {listed}{rest}; give one of the indices")
        if matches:
            return matches[0][0]
    hint = similar_names(query, [name for group in synonyms for name in group])
    raise InputError(f"no class of {classifier} is named {text!r}: {hint or 'give another name, or an index'}")


def read_class_names(path: str | Path | Sequence[str]) -> list[str]:
    """The names of a text file with one per line; names that are given already are returned as they are.

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
    """ImageNet's names from timm's tables, or the names that a model of the hub carries; None without any."""
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

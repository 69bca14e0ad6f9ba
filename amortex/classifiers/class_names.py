"""Names of classes: from files, from timm's tables, and the class that a text names."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any

from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import nn

from amortex.core.catalog import similar_names
from amortex.core.errors import InputError

MAX_LISTED = 5  # classes that an error names
INDEX, NAME = "index:", "name:"  # in front of a text that says which it is
TABLE = "id2label"  # the key of the names in Hugging Face's config.json
NUMBER = re.compile("[+-]?[0-9]+")

ClassNames = str | Path | Iterable[str | int] | Mapping[Any, str | int]


def synonyms_of(name: str) -> list[str]:
    """What a class is called, as ImageNet's names list it: ``tabby, tabby cat``."""
    return [synonym.strip() for synonym in name.split(",")]


def short_names(names: Sequence[str]) -> list[str]:
    """What each class is shown as: its first synonym if it is no other class's, else the whole name."""
    owners = Counter(synonym for name in names for synonym in {text.lower() for text in synonyms_of(name)})
    firsts = (synonyms_of(name)[0] for name in names)
    return [first if first and owners[first.lower()] == 1 else name for first, name in zip(firsts, names, strict=True)]


def class_index(target: str | int, names: Sequence[str] | None, num_classes: int, classifier: str) -> int:
    """The class of an index or a name.

    A text may be either: ``index:10`` and ``name:10`` say which. A number that is not a text is an index.

    Raises:
        InputError: no such class, or several; a target that is neither an index nor a name.
    """
    if isinstance(target, bool) or not isinstance(target, str | Integral):
        raise InputError(f"a target is a class index (an integer) or a name, not {target!r}")
    if not isinstance(target, str):
        return _existing(int(target), num_classes, classifier)
    text = target.strip()
    if text.startswith(INDEX):
        number = text.removeprefix(INDEX).strip()
        if not NUMBER.fullmatch(number):
            raise InputError(f"{text!r} gives no index: {INDEX} is for numbers, {NAME} for names")
        return _existing(int(number), num_classes, classifier)
    if not text.startswith(NAME) and NUMBER.fullmatch(text):
        return _number(text, names or (), num_classes, classifier)
    if names is None:
        raise InputError(f"{classifier} has no class names: give the target as an index, or give class names")
    return index_of(text.removeprefix(NAME).strip(), names, classifier)


def _existing(index: int, num_classes: int, classifier: str) -> int:
    """The index itself; raises InputError unless there is such a class."""
    if not 0 <= index < num_classes:
        raise InputError(f"class {index} does not exist: {classifier} has classes 0 to {num_classes - 1}")
    return index


def _number(text: str, names: Sequence[str], num_classes: int, classifier: str) -> int:
    """The class that a number means: of that index, or of that name; refused where these are two classes."""
    index = int(text)
    named = [number for number, name in enumerate(names) if text in (name.strip(), *synonyms_of(name))]
    if not named:
        return _existing(index, num_classes, classifier)
    if 0 <= index < num_classes and named != [index]:
        listed = _listing([(number, names[number]) for number in named])
        raise InputError(
            f"{text!r} is the index of class {index} ({names[index]}), and the name of class {listed}: "
            f"give {INDEX}{text} or {NAME}{text}"
        )
    return index_of(text, names, classifier)


def index_of(text: str, names: Sequence[str], classifier: str) -> int:
    """The class that a text names: by its whole name, else by a synonym, by whole words of one, or by any part of one.

    Raises:
        InputError: it names none, or several.
    """
    if not text:
        raise InputError("the target is empty: give the name of a class, or its index")
    query = text.lower()
    groups = [synonyms_of(name) for name in names]
    wholes = [[name.strip()] for name in names]
    tests: tuple[tuple[list[list[str]], Callable[[str], bool]], ...] = (
        (wholes, lambda name: name == text),
        (wholes, lambda name: name.lower() == query),
        (groups, lambda name: name == text),
        (groups, lambda name: name.lower() == query),
        (groups, lambda name: f" {query} " in f" {name.lower()} "),
        (groups, lambda name: query in name.lower()),
    )
    for candidates, test in tests:
        matches = [
            (index, next(filter(test, group))) for index, group in enumerate(candidates) if any(map(test, group))
        ]
        if len(matches) > 1:
            counts = Counter(synonym for _, synonym in matches)
            told = [(index, synonym if counts[synonym] == 1 else names[index]) for index, synonym in matches]
            raise InputError(f"{text!r} names several classes: {_listing(told)}; give one of the indices")
        if matches:
            return matches[0][0]
    hint = similar_names(text, {name for group in (*wholes, *groups) for name in group})
    raise InputError(f"no class of {classifier} is named {text!r}: {hint or 'give another name, or an index'}")


def _listing(classes: Sequence[tuple[int, str]]) -> str:
    """The first of these classes, with their names, and how many more there are."""
    rest = f" and {len(classes) - MAX_LISTED} more" if len(classes) > MAX_LISTED else ""
    return ", ".join(f"{index} ({name})" for index, name in classes[:MAX_LISTED]) + rest


def read_class_names(names: ClassNames) -> list[str]:
    """The names in the order of the classes.

    Arguments:
        names: one per class: a list, or a table from indices ``0 ... M-1`` to names, also as ``id2label`` of a table of
            other settings; or a file: JSON of such a list or table if it ends in ``.json``, else a text with one name
            per line.

    Raises:
        InputError: the file cannot be read, or is empty; indices that are not ``0 ... M-1``; names that are neither
            texts nor integers.
    """
    if isinstance(names, str | Path):
        names = _read(Path(names))
    if isinstance(names, Mapping):
        inner: Any = names.get(TABLE)
        names = _in_order(inner if isinstance(inner, Mapping) else names)
    if isinstance(names, Set) or not isinstance(names, Iterable):
        raise InputError(
            f"class_names are a list, a table from indices to names, or a file, not {type(names).__name__}"
        )
    listed = list(names)
    for name in listed:
        if isinstance(name, bool) or not isinstance(name, str | Integral):
            raise InputError(f"names of classes are texts or integers, not {name!r}")
    return [str(name) for name in listed]


def _in_order(names: Mapping[Any, Any]) -> list[Any]:
    """The values of a table by their indices, which JSON writes as texts."""
    indices = {int(key) if isinstance(key, str) and NUMBER.fullmatch(key) else key: name for key, name in names.items()}
    wrong = [key for key in indices if isinstance(key, bool) or not isinstance(key, Integral) or key < 0]
    if wrong and all(isinstance(key, str) and isinstance(index, int) for key, index in names.items()):
        raise InputError(
            "a table of class names goes from indices to names, and this one from names to indices: invert it"
        )
    if wrong:
        raise InputError(f"a table of class names goes from indices to names: {wrong[0]!r} is no index")
    if len(indices) != len(names):
        raise InputError("a table of class names has some index twice")
    absent = (index for index in range(max(indices, default=0)) if index not in indices)
    if missing := list(islice(absent, MAX_LISTED + 1)):
        listed = ", ".join(map(str, missing[:MAX_LISTED])) + (", ..." if len(missing) > MAX_LISTED else "")
        raise InputError(f"a table of class names needs a name for every index, and lacks {listed}")
    return [indices[index] for index in range(len(names))]


def _read(path: Path) -> Any:
    """What a file of names holds."""
    if path.exists() and not path.is_file():
        raise InputError(f"cannot read class names from {path}: it is no regular file")
    try:
        text = path.read_text(encoding="utf-8-sig")
        names = (
            json.loads(text)
            if path.suffix.lower() == ".json"
            else list(filter(None, map(str.strip, text.splitlines())))
        )
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error  # without the path once more
        raise InputError(f"cannot read class names from {path}: {why}") from error
    if not names or not isinstance(names, list | dict):
        raise InputError(f"{path} holds no class names: write one per line, or in .json a list or a table of them")
    return names


def check_count(names: Sequence[str] | None, num_classes: int, binary: bool, classifier: str) -> None:
    """Raises InputError unless there are as many names as classes; a `binary` classifier has one output."""
    if names is None or len(names) == num_classes:
        return
    given = f"{len(names)} class name{' was' if len(names) == 1 else 's were'} given"
    has = f"{num_classes} classes" if not binary else "one output, which means two classes"
    raise InputError(f"{classifier} has {has}, but {given}: give one for each class")


def known_class_names(model: nn.Module) -> list[str] | None:
    """ImageNet's names from timm's tables, or the names that a model of the hub carries; None without any."""
    config = getattr(model, "pretrained_cfg", None) or {}
    labels, descriptions = config.get("label_names"), config.get("label_descriptions") or {}
    subset = infer_imagenet_subset(model) if hasattr(model, "num_classes") else None
    if labels:
        names = [str(descriptions.get(label, label)) for label in read_class_names(labels)]
    elif subset is not None:
        names = list(ImageNetInfo(subset).label_descriptions())
    else:
        return None
    return names if len(names) == getattr(model, "num_classes", None) else None  # else its head is for other classes

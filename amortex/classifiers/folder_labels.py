"""True classes of files, from the folders that they are in."""

from collections.abc import Iterable
from pathlib import PurePath

from timm.data import ImageNetInfo, infer_imagenet_subset

from amortex.classifiers.class_names import synonyms_of
from amortex.classifiers.classifier import Classifier
from amortex.core.errors import InputError, escape

MOST_LISTED = 3  # folders that an error names


class FolderLabels:
    """Classes by the names of folders: WordNet ids of ImageNet, whole names or synonyms of classes, or indices.

    Case is ignored, and an underscore is a space. A name that several classes have is none of them.

    Arguments:
        classifier: whose classes they are.

    >>> labels = FolderLabels(load_classifier())
    >>> labels.of("val/n02123045/1.jpg") == labels.of("tabby/1.jpg") == labels.of("281/1.jpg") == 281
    True
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        classes: dict[str, set[int]] = {}
        subset = infer_imagenet_subset(classifier.model) if hasattr(classifier.model, "num_classes") else None
        wnids = [] if subset is None else ImageNetInfo(subset).label_names()
        for index in range(classifier.num_classes):
            names = [str(index)]
            if len(wnids) == classifier.num_classes:
                names.append(wnids[index])
            if classifier.class_names:
                names += [classifier.class_names[index], *synonyms_of(classifier.class_names[index])]
            for name in names:
                classes.setdefault(_plain(name), set()).add(index)
        self._classes = {name: next(iter(found)) for name, found in classes.items() if len(found) == 1}

    def of(self, name: str) -> int | None:
        """The class of the innermost folder of a relative path that is named after one; None without any."""
        classes = (self._classes.get(_plain(part)) for part in reversed(PurePath(name).parent.parts))
        return next((index for index in classes if index is not None), None)

    def check(self, names: Iterable[str]) -> None:
        """Raises InputError unless some of these relative paths have a class."""
        listed = list(names)
        if all(self.of(name) is None for name in listed):
            folders = sorted({PurePath(name).parent.name or "." for name in listed})
            raise InputError(
                f"no folder is named after a class of {self.classifier.name}: "
                f"{', '.join(map(escape, folders[:MOST_LISTED]))}{', ...' if len(folders) > MOST_LISTED else ''}; "
                "put files into folders with WordNet ids, names or indices of classes"
            )


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())

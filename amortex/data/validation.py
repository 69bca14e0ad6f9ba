"""The validation signals: those that cannot be read are left out, and nothing stands in for them."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from amortex.core.errors import InputError
from amortex.data.preparation import Preparation
from amortex.data.reading import SkippingReader, try_open
from amortex.data.sources import SignalSource

Sample = dict[str, Any]


class ValSamples(Dataset[Sample]):
    """Validation signals as the classifier takes them: "image" ``(C, *size)``, of images uint8, "index" and "name".

    Of a signal that cannot be read there are "name" and "reason".
    """

    def __init__(self, signals: SkippingReader, preparation: Preparation) -> None:
        self.signals, self.preparation = signals, preparation

    def __len__(self) -> int:
        return len(self.signals.source)

    def __getitem__(self, index: int) -> Sample:
        signal, name = self.signals.read(index), self.signals.source.name(index)
        if isinstance(signal, str):
            return {"name": name, "reason": signal}
        return {"image": self.preparation.prepare(signal), "index": index, "name": name}


class ValLoader(DataLoader[Sample]):
    """Batches of the signals that can be read, apart by their sizes. A batch without any is passed over.

    Arguments:
        signals: to read.
        left_out: where it notes the names of those that cannot be read, and the reasons.
        **options: of torch's loader.
    """

    def __init__(self, signals: ValSamples, left_out: dict[str, str], **options: Any) -> None:
        super().__init__(signals, collate_fn=_collate, **options)
        self.left_out = left_out

    def __iter__(self) -> Iterator[Sample]:  # type: ignore[override]
        for batches, left_out in super().__iter__():
            self.left_out |= left_out
            yield from batches


def evenly_spaced(source: SignalSource, preparation: Preparation, count: int) -> Tensor:
    """`count` signals of a source, or all it has, ``(B, C, *size)``.

    Each is the first one that can be read of as many equal parts of the list.

    Raises:
        InputError: none can be read.
    """
    size, count = len(source), min(count, len(source))
    parts = [range(part * size // count, (part + 1) * size // count) for part in range(count)]
    samples: list[Tensor] = []
    for part in parts:
        signals = (try_open(source, index) for index in part)
        readable = (signal for signal in signals if not isinstance(signal, str))
        samples += [preparation.prepare(signal) for signal in islice(readable, 1)]
    if not samples:
        raise InputError(f"none of {size} validation {preparation.modality.noun}s can be read")
    return to_floats(torch.stack(samples))


def to_floats(signals: Tensor) -> Tensor:
    """Bytes as floats in [0, 1]; floats as they are."""
    return signals.float() / 255 if signals.dtype == torch.uint8 else signals


def _collate(samples: list[Sample]) -> tuple[list[Sample], dict[str, str]]:
    """Batches of the samples that have a signal, one for each size, and the name and the reason of the others."""
    sizes: dict[torch.Size, list[Sample]] = {}
    for sample in samples:
        if "image" in sample:
            sizes.setdefault(sample["image"].shape, []).append(sample)
    left_out = {sample["name"]: sample["reason"] for sample in samples if "reason" in sample}
    return [default_collate(signals) for signals in sizes.values()], left_out

"""Images for training and validation, as a Lightning data module."""

from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from amortex.core.errors import InputError
from amortex.data.libraries import Stream, has_splits, kind, open_source
from amortex.data.photographs import Views
from amortex.data.samples import RandomCrop, SampleNumbers, StreamImages, TrainImages, ValImages
from amortex.data.sources import Files, ImageSource, Memory, Readable
from amortex.data.splits import hold_out, some, without
from amortex.io.images import Preprocess, find_images

MOST = 2**53  # of any number: seeds must fit the generators

DEFAULT_CONFIG = {"input_size": (3, 224, 224), "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center"}
CACHED_CROP = 0.875  # images in the cache have the short side size / CACHED_CROP


class ImageData(lightning.LightningDataModule):
    """Photographs without labels.

    Batches are dicts: "image", float ``(B, C, H, W)`` in [0, 1] once the batch is on its device (uint8 before), and
    "index", int64 ``(B,)``: the sample number in training; in validation the position in the list of validation
    images, beside "name", a list of B strings. "numbers" is the index as a list, once the batch is on its device.

    Training is one endless stream of samples, each a function of (seed, sample number) alone: train with `max_steps`
    and an integer `val_check_interval` with `check_val_every_n_epoch=None`. A run that resumes from a checkpoint
    continues with the sample number ``global_step * accumulate_grad_batches * batch_size * devices``, and the global
    batches are the same on any number of devices if their size is. ``global_step`` counts the steps of all
    optimizers: the module should have one. Of ``wds/``, ``tfds/`` and ``hfids/`` data, which can only be read from
    start to end, a resumed run sees a new order, and each worker and device its own part. The loaders bring their own
    samplers: several devices need ``Trainer(use_distributed_sampler=False)``.

    Arguments:
        train: ``embedded`` (photographs that scikit-image brings along), a folder (with all below it), a tar file,
            ``torch/imagenette`` (also ``-320px``, ``-160px``), or ``torch/...``, ``hfds/...``, ``wds/...``,
            ``tfds/...``, ``folder`` as timm reads them.
        train_root: folder of a library's data set, or of its cache.
        train_split: the library's name of the part to train on; default ``train``.
        val: source of the validation images. By default the held-out photographs of ``embedded``, the validation
            split of a library's data set, or images of the training folder that are then left out of training.
        val_root, val_split: as for training; default the training root, and ``validation`` (Imagenette: ``val``).
        predict: a folder (with all below it) or a file to explain with ``predict``.
        val_images: how many validation images, evenly spaced over their list; at most half of a training folder.
        input_size: side of the square images in pixels; default the classifier's.
        data_config: timm's data config (input_size, interpolation, crop_pct, crop_mode), over what `configure` gets.
        batch_size: images per device and batch: the global batch has `devices` times as many.
        workers: processes that load images, for each device; 0 loads in the training process.
        seed: of the order, the crops and the hold-out.
        cache_gib: keep decoded training images in up to that much memory per device, in all workers together (each
            has its own). All images are then shrunk to a short side of size / 0.875 before they are cropped.
        download: allow data sets to be downloaded.

    Raises:
        InputError: values out of range; in `setup`: images that cannot be had.
    """

    def __init__(
        self,
        train: str = "embedded",
        train_root: str | None = None,
        train_split: str | None = None,
        val: str | None = None,
        val_root: str | None = None,
        val_split: str | None = None,
        predict: str | None = None,
        val_images: int = 64,
        input_size: int | None = None,
        data_config: dict[str, Any] | None = None,
        batch_size: int = 8,
        workers: int = 2,
        seed: int = 0,
        cache_gib: float = 0.0,
        download: bool = False,
    ) -> None:
        super().__init__()
        lowest = (("input_size", input_size, 8), ("batch_size", batch_size, 1), ("val_images", val_images, 1),
                  ("workers", workers, 0), ("seed", seed, 0), ("cache_gib", cache_gib, 0))  # fmt: skip
        for name, value, least in lowest:
            if value is not None and not least <= value < MOST:
                raise InputError(f"{name} is {value}: it must be at least {least}, and below {MOST:,}")
        self.train_name, self.train_root, self.train_split = train, train_root, train_split
        self.val_name, self.val_root, self.val_split = val, val_root, val_split
        self.val_images, self.batch_size, self.workers, self.seed = val_images, batch_size, workers, seed
        self.predict, self.cache_gib, self.download = predict, cache_gib, download
        self.overrides = dict(data_config or {}) | ({} if input_size is None else {"side": input_size})
        self.configure({})
        self.train_images: Readable | Stream | None = None
        self.val_source: Readable | None = None

    def configure(self, data_config: dict[str, Any]) -> None:
        """Take over a classifier's data config, before the loaders are made; what the constructor was given stays."""
        config = {**DEFAULT_CONFIG, **data_config, **self.overrides}
        side = config.pop("side", None)
        if side is not None:
            config["input_size"] = (config["input_size"][0], side, side)
        self.data_config = config
        self.preprocess, self.crop = Preprocess(config), RandomCrop(config)

    def prepare_data(self) -> None:
        """Download, where that is allowed: in one process only."""
        if self.download:
            open_source(self.train_name, self.train_root, self.train_split, download=True)
            if self.val_name or has_splits(self.train_name):
                self._open_val()

    def setup(self, stage: str | None = None) -> None:
        """Find the images, and see that some can be read."""
        if stage == "predict":
            if self.predict is None:
                raise InputError("predict needs images to explain: give --data.predict FOLDER")
            self.predict_sources = list(find_images([self.predict]))
            return
        if self.val_source is not None:
            return
        train = open_source(self.train_name, self.train_root, self.train_split, self.download)
        val: ImageSource
        if self.val_name is None and kind(self.train_name) == "embedded":
            val = Views(self.val_images)
        elif self.val_name is None and not has_splits(self.train_name) and not isinstance(train, Stream):
            train, val = hold_out(train, self.val_images, self.seed)
        else:
            val = some(self._open_val(), self.val_images)
            if isinstance(train, Files):
                train = without(train, val)
        self.val_source = Readable(val)
        self.val_source.open(0)
        if isinstance(train, Stream):
            train.open(training=True)  # errors in one line from here, not from a worker
            self.train_images = train
        else:
            self.train_images = Readable(train)
            self.train_images.open(0)

    def train_dataloader(self) -> DataLoader[Any]:
        """Endless, from the sample number that the trainer has come to."""
        trainer, rank, world, steps = self.trainer, 0, 1, 0
        if trainer is not None:
            rank, world = trainer.global_rank, trainer.world_size
            steps = trainer.global_step * trainer.accumulate_grad_batches
        numbers = SampleNumbers(steps * world * self.batch_size, self.batch_size, rank, world)
        dataset: TrainImages | StreamImages
        if isinstance(self.train_images, Stream):
            dataset = StreamImages(self.train_images, self.crop, numbers, self.seed)
        else:
            assert self.train_images is not None, "setup comes first"
            images = Readable(self._cached(self.train_images.source), self.train_images.broken)
            dataset = TrainImages(images, self.crop, numbers, self.seed)
        return self._loader(dataset, batch_size=None, start=numbers.start)

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation images in order; with several devices, each has its share."""
        assert self.val_source is not None, "setup comes first"
        dataset = ValImages(self.val_source, self.preprocess)
        trainer = self.trainer
        if trainer is not None and len(dataset) < trainer.world_size:
            raise InputError(f"{len(dataset)} validation images are too few for {trainer.world_size} devices")
        if trainer is not None and trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
            raise InputError("the data are shared out already: give Trainer(use_distributed_sampler=False)")
        # each image on one device: a DistributedSampler would repeat some to make the shares even
        sampler = None if trainer is None else range(trainer.global_rank, len(dataset), trainer.world_size)
        return self._loader(dataset, batch_size=self.batch_size, sampler=sampler)

    def test_dataloader(self) -> DataLoader[Any]:
        """The validation images."""
        return self.val_dataloader()

    def predict_dataloader(self) -> DataLoader[Any]:
        """The files to explain, in one list. Whoever explains them shares them out and reads them."""
        return DataLoader([self.predict_sources], batch_size=None, collate_fn=list)  # type: ignore[arg-type]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """The sample numbers as "numbers", a list: seeds are made of them on the host, without waiting for a device."""
        return {**batch, "numbers": batch["index"].tolist()} if isinstance(batch, dict) else batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Bytes to [0, 1], on the device: a quarter of the traffic."""
        if not isinstance(batch, dict):
            return batch
        image: Tensor = batch["image"]
        return batch if image.dtype != torch.uint8 else {**batch, "image": image.float() / 255}

    def _loader(self, dataset: Any, start: int = 0, **options: Any) -> DataLoader[Any]:
        # a generator of its own: making a loader must not change the random numbers of the training
        random = torch.Generator().manual_seed(self.seed + start)
        options |= {"num_workers": self.workers, "persistent_workers": self.workers > 0, "generator": random}
        return DataLoader(dataset, pin_memory=torch.cuda.is_available(), **options)

    def _open_val(self) -> ImageSource | Stream:
        name = self.val_name or self.train_name
        split = self.val_split or ("val" if name.startswith("torch/imagenette") else "validation")
        return open_source(name, self.val_root or self.train_root, split, self.download)

    def _cached(self, source: ImageSource) -> ImageSource:
        if self.cache_gib == 0 or isinstance(source, Memory):
            return source
        side = round(max(self.crop.height, self.crop.width) / CACHED_CROP)
        return Memory(source, self.cache_gib * 2**30 / max(1, self.workers), side)

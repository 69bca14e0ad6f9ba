"""Signals for training and validation, as a Lightning data module."""

from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from amortex.core.errors import InputError
from amortex.data.libraries import ImageStream, has_splits, open_source, source_kind, validation_split
from amortex.data.photographs import HeldOutViews
from amortex.data.preparation import Preparation, preparation_for
from amortex.data.reading import SkippingReader
from amortex.data.samples import SampleNumbers, StreamedTrainImages, TrainSamples
from amortex.data.sources import FileSource, SignalSource, cached
from amortex.data.splits import exclude_validation, split_at_random, take_evenly
from amortex.data.validation import ValLoader, ValSamples, to_floats
from amortex.io.finding import find_files

LARGEST_NUMBER = 2**53  # of all settings: seeds must fit the generators
DEFAULT_CONFIG = {"input_size": (3, 224, 224), "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center"}


class SignalData(lightning.LightningDataModule):
    """Images, sounds or volumes without labels: what the data config of the classifier takes.

    A batch is a dict:

    - "image": float ``(B, C, *size)`` in the range of such signals; images are uint8 until they are on their device;
    - "index": int64 ``(B,)``, the sample number in training, the place among the validation signals in validation;
    - "numbers": the index as a list, once the batch is on its device;
    - "name": a list of B strings, in validation.

    Training is one endless stream of samples, each a function of (seed, sample number) alone. So train with
    `max_steps`, an integer `val_check_interval` and `check_val_every_n_epoch=None`. A run that resumes from a
    checkpoint continues with the sample number ``global_step * accumulate_grad_batches * batch_size * devices``.
    ``global_step`` counts the steps of all optimizers: the module should have one. Global batches of one size are the
    same on any number of devices, which need ``Trainer(use_distributed_sampler=False)``.

    ``wds/``, ``tfds/`` and ``hfids/`` data can only be read from start to end. A resumed run sees them in a new order,
    and each worker and device reads its own part.

    Arguments:
        train: a folder (with all below it), or ``embedded``: photographs that scikit-image brings along, the bundled
            sounds, or ``digits3d``. Images also: a tar file, ``torch/imagenette`` (also ``-320px``, ``-160px``), or
            ``torch/...``, ``hfds/...``, ``wds/...``, ``tfds/...``, ``folder`` as timm reads them. Volumes also:
            ``digits3d``, ``moving_digits``, an archive ``FILE.npz`` with arrays ``train_images`` and ``val_images``.
        train_root: folder of a library's data set, or of its cache.
        train_split: the library's name of the part to train on; default ``train``.
        val: source of the validation signals. By default the held-out photographs of ``embedded``, the validation
            split of a data set that has one, or signals of the training folder, which are then left out of training.
        val_root, val_split: as for training; default the training root, and ``validation`` or ``val``.
        predict: a folder (with all below it) or a file that ``predict`` explains.
        val_images: how many validation signals, evenly spaced over their list; at most half of a training folder.
        input_size: sides of images and volumes, or samples of sounds; default the classifier's.
        data_config: timm's data config (input_size, interpolation, crop_pct, crop_mode), over what `configure` gets.
        batch_size: signals per device and batch: the global batch has `devices` times as many.
        workers: processes that load signals, for each device; 0 loads in the training process.
        seed: of the order, the crops and the hold-out.
        cache_gib: memory per device for decoded training signals; the workers share it out. With a cache, all images
            are shrunk to a short side of input_size / 0.875 before they are cropped.
        download: allow libraries to download data sets.

    Attributes:
        left_out: name -> reason, of the validation signals that this process could not read. Nothing stands in for
            them; in training the next signal does.

    Raises:
        InputError: values out of range; in `setup`: signals that cannot be had.
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
        bounded = (("input_size", input_size, 8), ("batch_size", batch_size, 1), ("val_images", val_images, 1),
                   ("workers", workers, 0), ("seed", seed, 0), ("cache_gib", cache_gib, 0))  # fmt: skip
        for name, value, minimum in bounded:
            if value is not None and not minimum <= value < LARGEST_NUMBER:
                raise InputError(f"{name} is {value}: it must be at least {minimum}, and below {LARGEST_NUMBER:,}")
        self.train_name, self.train_root, self.train_split = train, train_root, train_split
        self.val_name, self.val_root, self.val_split = val, val_root, val_split
        self.val_images, self.batch_size, self.workers, self.seed = val_images, batch_size, workers, seed
        self.predict, self.cache_gib, self.download = predict, cache_gib, download
        self.overrides = dict(data_config or {}) | ({} if input_size is None else {"side": input_size})
        self.configure({})
        self.train_source: SkippingReader | ImageStream | None = None
        self.val_source: SkippingReader | None = None
        self.left_out: dict[str, str] = {}

    def configure(self, data_config: dict[str, Any]) -> None:
        """Take over a classifier's data config, before the loaders are made. The constructor's arguments come first."""
        config = {**DEFAULT_CONFIG, **data_config, **self.overrides}
        (channels, *size), side = config["input_size"], config.pop("side", None)
        self.data_config = {**config, "input_size": (channels, *(side or length for length in size))}
        self.preparation = preparation_for(self.data_config)

    def prepare_data(self) -> None:
        """Download, where that is allowed. Lightning calls this in one process only."""
        if self.download:
            self._open_train()
            if self.val_name or has_splits(source_kind(self.train_name, self.preparation.modality)):
                self._open_val()

    def setup(self, stage: str | None = None) -> None:
        """Find the signals, and check that they can be read.

        Raises:
            InputError: there are none, or none can be read.
        """
        modality = self.preparation.modality
        if stage == "predict":
            if self.predict is None:
                raise InputError(f"predict needs {modality.noun}s to explain: give --data.predict FOLDER")
            self.predict_sources = list(find_files([self.predict], modality))
        if stage == "predict" or self.val_source is not None:
            return
        train, kind, noun = self._open_train(), source_kind(self.train_name, modality), modality.noun
        val: SignalSource
        if self.val_name is None and kind == "embedded" and noun == "image":
            val = HeldOutViews(self.val_images)
        elif self.val_name is None and not has_splits(kind) and not isinstance(train, ImageStream):
            train, val = split_at_random(train, self.val_images, self.seed, noun)
        else:
            val = take_evenly(self._open_val(), self.val_images)
            if isinstance(train, FileSource):
                train = exclude_validation(train, val, noun)
        self.val_source = SkippingReader(val, noun=noun)
        self.val_source.check()
        if isinstance(train, ImageStream):
            train.open(training=True)  # an error here is one line, from a worker it would be a traceback
            self.train_source = train
        else:
            self.train_source = SkippingReader(train, noun=noun)
            self.train_source.check()

    def train_dataloader(self) -> DataLoader[Any]:
        """An endless loader, from the sample number that the trainer has come to."""
        trainer, rank, world_size, steps = self.trainer, 0, 1, 0
        if trainer is not None:
            rank, world_size = trainer.global_rank, trainer.world_size
            steps = trainer.global_step * trainer.accumulate_grad_batches
        numbers = SampleNumbers(steps * world_size * self.batch_size, self.batch_size, rank, world_size)
        dataset: TrainSamples | StreamedTrainImages
        if isinstance(self.train_source, ImageStream):
            dataset = StreamedTrainImages(self.train_source, self.preparation, numbers, self.seed)
        else:
            assert self.train_source is not None, "setup comes first"
            limit, size = self.cache_gib * 2**30 / max(1, self.workers), self.data_config["input_size"][1:]
            signals = self.train_source.of(cached(self.train_source.source, limit, size))
            dataset = TrainSamples(signals, self.preparation, numbers, self.seed)
        return DataLoader(dataset, batch_size=None, **self._loading(numbers.start))

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation signals in order, but for those that cannot be read; with several devices each has its share.
        Raises InputError for fewer signals than devices, or a trainer that would share them out once more.
        """
        return self._val_loader(self.preparation)

    def test_dataloader(self) -> DataLoader[Any]:
        """The same as they are explained: sounds have lengths of their own, alike in a batch, if the classifier may."""
        return self._val_loader(preparation_for(self.data_config, own_lengths=True))

    def _val_loader(self, preparation: Preparation) -> DataLoader[Any]:
        assert self.val_source is not None, "setup comes first"
        dataset = ValSamples(self.val_source, preparation)
        trainer = self.trainer
        if trainer is not None and len(dataset) < trainer.world_size:
            noun, devices = self.val_source.noun, trainer.world_size
            raise InputError(f"{len(dataset)} validation {noun}s are too few for {devices} devices")
        if trainer is not None and trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
            raise InputError("the data are shared out already: give Trainer(use_distributed_sampler=False)")
        # each signal on one device: a DistributedSampler would repeat some to make the shares even
        sampler = None if trainer is None else range(trainer.global_rank, len(dataset), trainer.world_size)
        return ValLoader(dataset, self.left_out, batch_size=self.batch_size, sampler=sampler, **self._loading())

    def predict_dataloader(self) -> DataLoader[Any]:
        """One batch: the list of the files to explain. Explaining shares them out among devices, and reads them."""
        return DataLoader([self.predict_sources], batch_size=None, collate_fn=list)  # type: ignore[arg-type]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Add "numbers", the index as a list: the host makes seeds of them without waiting for a device."""
        return {**batch, "numbers": batch["index"].tolist()} if isinstance(batch, dict) else batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Bytes to floats in [0, 1]. On the device, because bytes are a quarter of the traffic."""
        return {**batch, "image": to_floats(batch["image"])} if isinstance(batch, dict) else batch

    def _loading(self, start: int = 0) -> dict[str, Any]:
        """How a loader loads."""
        # a generator for the loader alone: making a loader must not change the random numbers of training
        random = torch.Generator().manual_seed(self.seed + start)
        workers = {"num_workers": self.workers, "persistent_workers": self.workers > 0}
        return {**workers, "generator": random, "pin_memory": torch.cuda.is_available()}

    def _open_train(self) -> SignalSource | ImageStream:
        return open_source(self.train_name, self.train_root, self.train_split, self.preparation, self.download)

    def _open_val(self) -> SignalSource | ImageStream:
        name = self.val_name or self.train_name
        split = self.val_split or validation_split(name, source_kind(name, self.preparation.modality))
        return open_source(name, self.val_root or self.train_root, split, self.preparation, self.download)


ImageData = SignalData  # for programs that use this name

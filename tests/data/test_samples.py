"""The order of training samples: a function of their number, whatever workers, devices or a resumed run."""

import warnings

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from torch import nn

from amortex.data import SignalData
from amortex.data.augmentation import RandomCrop
from amortex.data.samples import SampleNumbers, generator
from amortex.data.sources import CachedSource
from helpers.data import CONFIG, batches, make, same


def test_samples_do_not_depend_on_workers(folder):
    encoded = batches(make(folder), 6)
    assert same(encoded, batches(make(folder), 6))
    assert same(encoded, batches(make(folder, workers=2), 6))
    assert not same(encoded, batches(make(folder, seed=1), 6))


def test_the_cache_is_bounded_and_changes_no_result(folder):
    one_image = 22 * 18 * 3 / 2**30
    results = [batches(make(folder, cache_gib=gib), 12) for gib in (1e-12, 2.5 * one_image, 1.0)]
    assert same(results[0], results[1])
    assert same(results[0], results[2])
    cached = CachedSource(make(folder).train_source.source, 3000, 18)
    sizes = [cached.open(i).size for i in range(5)]
    assert sizes == [(22, 18)] * 5
    assert 0 < cached.bytes <= 3000


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_devices_share_the_global_batch(world_size):
    devices = [SampleNumbers(80, 8 // world_size, rank, world_size).batches() for rank in range(world_size)]
    for step in range(3):
        samples = [n for device in devices for n in next(device)]
        assert samples == list(range(80 + 8 * step, 88 + 8 * step))


def test_random_crops_vary_and_stay_inside():
    crop = RandomCrop(CONFIG)
    boxes = [crop.box(90, 60, generator(0, 1, n)) for n in range(300)]
    assert all(0 <= left < right <= 90 and 0 <= upper < lower <= 60 for left, upper, right, lower in boxes)
    areas = np.array([(right - left) * (lower - upper) / 5400 for left, upper, right, lower in boxes])
    assert 0.33 < areas.min() < 0.45
    assert areas.max() > 0.8
    for size in ((400, 1), (1, 400), (1, 1)):
        assert crop(Image.new("RGB", size), generator(0, 1, 0)).shape == (3, 16, 16)
    ramp = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (64, 1)))
    rising = [bool((row := crop(ramp, generator(0, 1, n))[0, 8])[0] < row[-1]) for n in range(100)]
    assert 30 < sum(rising) < 70


class Recorder(lightning.LightningModule):
    """One parameter; remembers the numbers and the pixels of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[tuple] = []
        self.validated: list[int] = []

    def training_step(self, batch):
        self.seen.append((*batch["index"].tolist(), batch["image"].sum().item()))
        return self.weight * batch["image"].mean()

    def validation_step(self, batch):
        assert batch["image"].is_floating_point()
        self.validated += batch["index"].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data, steps, folder, resume=None, **options) -> Recorder:
    module = Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice
        trainer = lightning.Trainer(
            accelerator="cpu", devices=1, max_steps=steps, logger=False, enable_progress_bar=False,
            enable_model_summary=False, val_check_interval=2, check_val_every_n_epoch=None, num_sanity_val_steps=0,
            callbacks=[ModelCheckpoint(folder, filename="{step}", every_n_train_steps=3)], **options,
        )  # fmt: skip
        trainer.fit(module, data, ckpt_path=resume)
    return module


@pytest.mark.parametrize(("accumulate", "workers"), [(1, 0), (2, 2)])
def test_a_resumed_run_sees_what_it_would_have_seen(folder, tmp_path, accumulate, workers):
    def data():
        return SignalData(str(folder), input_size=16, batch_size=2, workers=workers, val_images=3)

    options = {"accumulate_grad_batches": accumulate}
    whole = fit(data(), 6, tmp_path / "whole", **options)
    first = fit(data(), 3, tmp_path / "parts", **options)
    second = fit(data(), 6, tmp_path / "parts2", resume=tmp_path / "parts" / "step=3.ckpt", **options)
    assert [n for batch in whole.seen for n in batch[:2]] == list(range(12 * accumulate))
    assert first.seen + second.seen == whole.seen
    assert torch.equal(second.weight, whole.weight)
    assert whole.validated[:3] == [0, 1, 2]
    assert len(whole.validated) == 9 * accumulate

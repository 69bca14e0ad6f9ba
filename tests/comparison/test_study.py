"""Measurements by name, and from the cache; parts of batches."""

import torch

from amortex.comparison.cache import ResultCache
from amortex.comparison.explained_batch import ExplainedBatch
from amortex.comparison.methods import Method
from amortex.comparison.stopwatch import Stopwatch
from amortex.comparison.studies import sanity_study
from amortex.comparison.study import Measurements, Study
from amortex.explainers.wam import WAM
from amortex.rate_distortion.pipeline import RateDistortion
from amortex.transforms.wavelet import Wavelet


def test_measurements_are_found_by_name():
    measured = Measurements(("J@1", "J@5", "passes"), torch.tensor([[0.1, 0.5, 4.0], [0.2, 0.6, 4.0]]))
    assert measured["passes"].tolist() == [4, 4]
    torch.testing.assert_close(measured.starting_with("J@"), torch.tensor([[0.1, 0.5], [0.2, 0.6]]))
    assert measured.rows()[1]["passes"] == 4


def test_images_that_are_known_are_not_measured_again(images, tmp_path):
    sizes, cache = [], ResultCache(tmp_path)

    def evaluate(batch):
        sizes.append(len(batch.image))
        return batch.image.mean((1, 2, 3)).double()[:, None]

    study = Study("section", "row", ("mean",), evaluate, {"study": "test"})
    parts = (images[:1], images, images[1:], images)
    values = [study.measure(ExplainedBatch(part, cache, Stopwatch()))["mean"] for part in parts]
    assert sizes == [1, 2]
    assert torch.equal(values[0], values[1][:1])
    assert torch.equal(values[1], torch.cat([values[0], values[2]]))
    assert torch.equal(values[3], values[1])


def test_parts_of_mixtures_are_mixtures_of_parts():
    sounds = torch.rand(3, 1, 50, generator=torch.Generator().manual_seed(4)) - 0.5
    batch = ExplainedBatch(sounds, ResultCache(None), Stopwatch(), partners=lambda signals: signals.flip(0))
    assert batch.of([0, 1, 2]) is batch
    for name in ("noise", "overlap"):
        whole = batch.mixed(name)
        part = whole.of([2, 0])
        assert part is whole.of([2, 0])
        assert torch.equal(part.signal, whole.signal[[2, 0]])
        assert torch.equal(part.target, whole.target[[2, 0]])
        assert torch.equal(part.clean.signal, sounds[[2, 0]])
        assert part.digests == [whole.digests[2], whole.digests[0]]
        torch.testing.assert_close(batch.of([2, 0]).mixed(name).signal, part.signal)


def test_sections_inside_sections_count_once():
    stopwatch = Stopwatch()
    with stopwatch.section("outer"):
        with stopwatch.section("inner"):
            torch.rand(200, 200).inverse()
        with stopwatch.section("inner"):
            pass
    assert stopwatch.sections["inner"] > 0
    assert stopwatch.sections["outer"] < stopwatch.seconds


def test_passes_of_randomised_classifiers_are_in_the_total(tiny_classifier, images):
    method = Method("wam", WAM(RateDistortion(tiny_classifier, Wavelet("haar", 2))), "exact")
    study, stopwatch = sanity_study(method), Stopwatch()
    batch = ExplainedBatch(images, ResultCache(None), stopwatch)
    with stopwatch.counter.watch(tiny_classifier):
        study.measure(batch)
    assert stopwatch.counter.total == (1 + len(study.columns)) * 4 * len(images)  # a class and a gradient each
    assert batch.explain(method).passes.tolist() == [4] * 3
    assert 0 < stopwatch.counter.seconds < stopwatch.seconds

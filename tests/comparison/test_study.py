"""Measurements by name, from the cache where it has all images of a batch."""

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


def test_a_batch_is_measured_again_unless_all_its_images_are_known(images, tmp_path):
    sizes, cache = [], ResultCache(tmp_path)

    def evaluate(batch):
        sizes.append(len(batch.image))
        return batch.image.mean((1, 2, 3)).double()[:, None]

    study = Study("section", "row", ("mean",), evaluate, {"study": "test"})
    parts = (images[:1], images, images[1:], images)
    values = [study.measure(ExplainedBatch(part, cache, Stopwatch()))["mean"] for part in parts]
    assert sizes == [1, 3]
    assert torch.equal(values[0], values[1][:1])
    assert torch.equal(values[1], torch.cat([values[0], values[2]]))
    assert torch.equal(values[3], values[1])


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

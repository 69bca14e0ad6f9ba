"""Learned steps for classes that are not the predicted ones."""

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from amortex.amortized.any_target import AnyTarget
from amortex.amortized.checkpoints import BASE, Others, file_digest, load_predictor
from amortex.amortized.config import RefinementSchedule
from amortex.amortized.explainer import Amortized
from amortex.amortized.export import release as write_again
from amortex.amortized.released import CONFIG, OTHERS, WEIGHTS
from amortex.core.errors import InputError
from helpers.predictors import stirred
from helpers.releases import write_release
from helpers.training import export, fit, versions


def second_classes(predictor, images):
    return predictor.rate_distortion.encode(images).probabilities.topk(2, 1).indices[:, 1]


def test_learned_steps_explain_other_classes_where_they_were_trained_for_it(predictor, images):
    assert isinstance(Amortized(stirred(predictor), 0.5).for_target(), AnyTarget)
    explainer = Amortized(predictor, 0.5, learned_steps=3)
    predictor.schedule = RefinementSchedule(any_target=True)
    assert explainer.for_target() is explainer
    with pytest.raises(InputError, match="with a target, passes must be at least 7"):
        Amortized(predictor, 0.5, passes=6).for_target()
    second = second_classes(predictor, images)
    explanation = explainer.for_target().explain(images, second)
    assert torch.equal(explanation.encoded.target, second)
    assert explanation.extra["passes"].tolist() == [4 + 3 * 3] * 3
    assert (explanation.mask - explainer.explain(images).mask).abs().amax(1).min() > 1e-3
    assert isinstance(Amortized(predictor, 0.5, learned_steps=0).for_target(), AnyTarget)  # its rate is measured


def test_an_untrained_refiner_stays_at_the_rate_that_other_classes_begin_with(predictor, images):
    predictor.schedule = RefinementSchedule(any_target=True, rate_of_others=0.07)
    masks = Amortized(predictor, 0.5, learned_steps=2).explain(images, second_classes(predictor, images)).mask
    torch.testing.assert_close(masks.mean(1), torch.full((3,), 0.07), rtol=0.1, atol=0)  # what is below 0.02 is cut


def test_a_higher_rate_of_another_class_costs_no_further_passes(predictor, images):
    predictor.schedule = RefinementSchedule(any_target=True)
    explainer = Amortized(stirred(predictor), 0.5, rate=0.4, learned_steps=3)
    explanation = explainer.explain(images, second_classes(predictor, images))
    assert explanation.extra["passes"].tolist() == [4 + 3 * 3] * 3
    torch.testing.assert_close(explanation.mask.mean(1), torch.full((3,), 0.4), rtol=0, atol=1e-5)
    assert min(explainer.explain(images).extra["passes"]) > 100  # a path is optimised for the predicted class


@pytest.mark.parametrize("any_target", [False, True])
def test_what_was_trained_apart_explains_other_classes(any_target, predictor):
    predictor.schedule = RefinementSchedule(any_target=any_target)
    predictor.others = stirred(copy.deepcopy(predictor))
    assert Amortized(predictor).for_target().other.predictor is predictor.others


def test_weights_that_belong_to_another_explainer_are_refused(tmp_path):
    release = write_release(tmp_path / "release", learned_steps=1)
    weights = load_file(release / WEIGHTS)
    its_own = {BASE: file_digest((release / WEIGHTS).read_bytes())}
    save_file(weights, release / OTHERS, its_own)
    loaded = load_predictor(release, classifier="helpers.networks.TinyNet").others
    assert loaded is not None
    assert (loaded.schedule.any_target, loaded.schedule.unrolled) == (True, False)
    save_file(weights, release / OTHERS, Others(weights, unrolled=True).metadata((release / WEIGHTS).read_bytes()))
    assert load_predictor(release, classifier="helpers.networks.TinyNet").others.schedule.unrolled
    for foreign, metadata in ((weights, None), (weights, {BASE: "0"}), ({"unknown": weights.popitem()[1]}, its_own)):
        save_file(foreign, release / OTHERS, metadata)
        with pytest.raises(InputError, match=r"others.safetensors belongs to another explainer"):
            load_predictor(release, classifier="helpers.networks.TinyNet")


def test_a_release_that_is_interrupted_has_no_weights_for_other_classes(tmp_path, monkeypatch):
    source = write_release(tmp_path / "source", learned_steps=1)
    save_file(load_file(source / WEIGHTS), source / OTHERS, {BASE: file_digest((source / WEIGHTS).read_bytes())})

    def interrupted(path, content):
        if path.name == CONFIG:
            raise KeyboardInterrupt
        path.write_bytes(content)

    monkeypatch.setattr("amortex.amortized.export.write_atomically", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_again(source, tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {WEIGHTS}


def test_what_it_was_trained_for_comes_with_a_trained_explainer(folder):
    trained = ("--model.refinement.steps", 2, "--model.refinement.only", "true")
    assert fit(*trained, "--model.refinement.other_targets", 0.5, steps=2, every=2) == 0
    predictor = load_predictor(versions(folder)[0] / "checkpoints/last.ckpt", classifier="helpers.networks.TinyNet")
    assert predictor.schedule == RefinementSchedule(any_target=True)


def test_a_release_may_have_learned_steps_of_their_own_for_other_classes(folder, capsys, caplog):
    refinement = ("--model.refinement.steps", 2, "--model.optimizer.lr", 0.02)
    assert fit(*refinement, steps=2, every=2) == 0
    first, second = (Path(f"runs/explainer/version_{n}/checkpoints/last.ckpt") for n in (0, 1))
    more = (
        "--model.start", first, "--model.refinement.only", "true", "--model.refinement.other_targets", 1.0,
        "--model.refinement.unrolled", "true", "--model.refinement.fewest_steps", 1,
    )  # fmt: skip
    assert fit(*refinement, *more, steps=2, every=2) == 0
    written = (first, "release", "--classifier", "helpers.networks.TinyNet")
    assert export(*written, "--others", second) == 0
    assert set(load_file("release/others.safetensors")) == {
        key for key in load_file("release/explainer.safetensors") if key.startswith("refiner.")
    }
    predictor = load_predictor("release", classifier="helpers.networks.TinyNet")
    assert (predictor.schedule.unrolled, predictor.others.schedule.unrolled) == (False, True)
    image = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    classes = predictor.rate_distortion.encode(image).probabilities.topk(2, 1).indices
    target = torch.stack([classes[0, 0], classes[1, 1], classes[2, 1]])
    explainer = Amortized(predictor, 2.0, passes=12)
    mixed = explainer.for_target().explain(image, target)
    expected = [
        Amortized(load_predictor(path, classifier="helpers.networks.TinyNet"), 2.0, passes=12).explain(
            image[index : index + 1], target[index : index + 1]
        ).mask
        for path, index in ((first, 0), (second, 1), (second, 2))
    ]  # fmt: skip
    torch.testing.assert_close(mixed.mask, torch.cat(expected), rtol=0, atol=1e-4)
    assert explainer.for_target().settings()["decoder"] != explainer.for_target().settings()["other_decoder"]
    Amortized(predictor, 1000.0).for_target()
    assert sum("lambda_k 1000 lies outside" in message for message in caplog.messages) == 1  # not once for each of both
    assert export("release", "copy", *written[2:]) == 0
    assert Path("copy/others.safetensors").read_bytes() == Path("release/others.safetensors").read_bytes()

    assert export(*written) == 0  # other weights: those of before are no longer beside them
    assert load_predictor("release", classifier="helpers.networks.TinyNet").others is None
    Path("release/others.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"others.safetensors: it is damaged"):
        load_predictor("release", classifier="helpers.networks.TinyNet")
    assert export(*written, "--others", first) == 2
    assert "was trained for predicted classes alone" in capsys.readouterr().err
    assert fit(*refinement, "--model.predictor.width", 16, "--model.refinement.other_targets", 1.0, steps=2) == 0
    other = Path("runs/explainer/version_2/checkpoints/last.ckpt")
    assert export(*written, "--others", other) == 2
    assert "of another predictor" in capsys.readouterr().err

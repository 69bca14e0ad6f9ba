"""Classifiers of sounds from transformers, with random weights in a folder."""

import sys

import numpy as np
import pytest
import torch

from amortex.classifiers.loading import load_classifier
from amortex.core.errors import InputError
from amortex.io.sounds import SoundReader

NAMES = ["silence", "yes", "no"]


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def config(transformers):
    return transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_kernel=(10, 3), conv_stride=(5, 2), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        classifier_proj_size=8, id2label=dict(enumerate(NAMES)), label2id={n: i for i, n in enumerate(NAMES)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(transformers, config, tmp_path_factory):
    path = tmp_path_factory.mktemp("wav2vec2")
    torch.manual_seed(0)
    transformers.Wav2Vec2ForSequenceClassification(config).save_pretrained(path)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000, do_normalize=True).save_pretrained(path)
    return path


def test_logits_are_those_of_transformers_own_pipeline(transformers, folder):
    classifier = load_classifier(f"hf-audio:{folder}", input_size=(1, 2000))
    sounds = torch.rand(2, 1, 2000, generator=torch.Generator().manual_seed(0)) * 0.4 - 0.1
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    inputs = extractor(list(sounds[:, 0].numpy()), sampling_rate=8000, return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(classifier(sounds), model(**inputs).logits, rtol=0, atol=1e-5)


def test_it_says_what_it_is_and_passes_gradients(folder):
    classifier = load_classifier(f"hf-audio:{folder}", input_size=(1, 2000))
    assert classifier.class_names == NAMES
    assert (classifier.activation, classifier.caveats) == ("softmax", ())
    assert classifier.data_config["sample_rate"] == 8000
    silence = torch.zeros(1, 1, 2000, requires_grad=True)
    (gradient,) = torch.autograd.grad(classifier(silence)[0, 1], silence)
    assert gradient.isfinite().all()


def test_sounds_are_neither_padded_nor_cut_but_to_what_is_asked_for(folder):
    config = load_classifier(f"hf-audio:{folder}").data_config
    assert config["input_size"] == (1, 40000)
    read = SoundReader(config)
    for samples, length in ((100, 800), (1234, 1234), (50000, 40000)):
        assert read(np.full(samples, 0.1)).shape == (1, length)


def test_several_labels_are_known_from_the_configuration(transformers, config, folder, tmp_path):
    several = type(config)(**{**config.to_dict(), "problem_type": "multi_label_classification"})
    transformers.Wav2Vec2ForSequenceClassification(several).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    assert load_classifier(f"hf-audio:{tmp_path}", input_size=(1, 2000)).activation == "sigmoid"


def test_models_that_cannot_be_explained_are_refused(transformers, config, folder, tmp_path):
    spectrograms, headless, empty = (tmp_path / name for name in ("spectrograms", "headless", "empty"))
    transformers.WhisperFeatureExtractor().save_pretrained(spectrograms)
    transformers.Wav2Vec2Model(config).save_pretrained(headless)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(headless)
    empty.mkdir()
    for path, message in ((spectrograms, "no gradients pass"), (headless, "no weights for"), (empty, "cannot load")):
        with pytest.raises(InputError, match=message):
            load_classifier(f"hf-audio:{path}")
    with pytest.raises(InputError, match="leave out weights"):
        load_classifier(f"hf-audio:{folder}", num_classes=3)


def test_pickled_weights_are_refused(config, folder, tmp_path):
    for file in folder.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        load_classifier(f"hf-audio:{tmp_path}")


def test_without_transformers_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"pip install"):
        load_classifier("hf-audio:anything")

"""The description of a problem: what is explained, over which coefficients, and how masks are measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from amortex.classifiers.default import DEFAULT_CLASSIFIER, Activation
from amortex.core.catalog import check_name, load
from amortex.core.errors import InputError
from amortex.core.modalities import modality_of
from amortex.obfuscations import build_obfuscation
from amortex.rate_distortion import DistortionName
from amortex.transforms import TRANSFORMS, Padding

if TYPE_CHECKING:
    from amortex.classifiers.classifier import Classifier
    from amortex.rate_distortion.pipeline import RateDistortion
    from amortex.transforms.base import Transform

Domain = Literal["waveform", "mel"]
MOST_LEVELS = 10
DEFAULTS_OF_MODALITY = ("value_range", "wavelet", "levels", "obfuscation")  # fields that depend on the kind of signals


@dataclass(frozen=True)
class Problem:
    """What is explained, and how masks are measured, as plain values: files, command lines and tests share it.

    Arguments:
        classifier: a bundled name, a timm name (also ``hf-hub:...`` and ``local-dir:...``), ``hf-audio:...``, or the
            class path of an `nn.Module`.
        weights: ``auto`` (its own), ``random``, or a safetensors or checkpoint file.
        num_classes: number of classes; by default read off the weights.
        class_names: one per class: a list, a table from indices to names, or a file of them (one per line, or JSON).
        model_args: further arguments of the network's constructor.
        input_size: side of the square inputs, or ``(channels, *size)``; by default the classifier's own.
        mean, std: of the normalisation, per channel; by default the classifier's own.
        activation: what makes probabilities of the classifier's outputs, see `Classifier`.
        value_range: what signals are clipped to; by default that of the kind of signals that the classifier takes, see
            `amortex.core.modalities`.
        domain: of sound: ``waveform``, or ``mel`` for the log-mel spectrogram that the classifier's front end makes of
            it, which has two axes and values in [0, 1] as an image has, see `on_spectrograms`.
        transform: name of the transform that masks are over, from `amortex.transforms.TRANSFORMS`.
        wavelet, levels: of the wavelet transform, by default those of the kind of signals; shearlets have as many
            `levels`, and a Fourier transform as many octaves.
        padding: of the wavelet transform.
        obfuscation: name of what replaces masked coefficients, from `amortex.obfuscations.OBFUSCATIONS`; by default
            that of the kind of signals: for waveforms ``fading``, else ``gaussian``.
        distortion: ``label_l2``, ``label_max``, ``l2`` or ``kl``.
        internal_batch_size: most obfuscated inputs in memory at once.
        batch_invariant: compute each input apart from its batch, so that results agree to the last bit in any batch.

    >>> Problem(distortion="kl").build()  # doctest: +SKIP
    """

    classifier: str = DEFAULT_CLASSIFIER
    weights: str = "auto"
    num_classes: int | None = None
    class_names: str | list[str | int] | dict[int, str | int] | None = None
    model_args: dict[str, Any] | None = None
    input_size: int | list[int] | None = None
    mean: list[float] | None = None
    std: list[float] | None = None
    activation: Activation = "auto"
    value_range: tuple[float, float] | None = None
    domain: Domain = "waveform"
    transform: str = "wavelet"
    wavelet: str | None = None
    levels: int | None = None
    padding: Padding = "zero"
    obfuscation: str | None = None
    distortion: DistortionName = "label_l2"
    internal_batch_size: int = 16
    batch_invariant: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any], **defaults: Any) -> "Problem":
        """The problem in a table that may hold other settings, too; what it lacks is by default."""
        known = {field.name for field in fields(cls)}
        return cls(**{**defaults, **{key: value for key, value in settings.items() if key in known}})

    def settings(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)

    def resolved(self, dims: int) -> "Problem":
        """The problem of signals with so many axes: what depends on their kind and is not given is its default."""
        modality = modality_of(dims)
        defaults = {name: getattr(modality, name) for name in DEFAULTS_OF_MODALITY}
        return replace(self, **{name: value for name, value in defaults.items() if getattr(self, name) is None})

    def build(self, classifier: "Classifier | None" = None) -> "RateDistortion":
        """The pipeline from images to distortions, with the `classifier` unless it has to be built.

        Raises:
            InputError: what the classifier, the transform, the obfuscation or the distortion refuse; a combination of
                wavelet, padding and input size for which the transform is not exact.
        """
        from amortex.classifiers.spectrograms import on_spectrograms
        from amortex.rate_distortion.pipeline import RateDistortion

        classifier = classifier or self.build_classifier()
        classifier = on_spectrograms(classifier) if self.domain == "mel" else classifier
        dims = len(classifier.input_size) - 1
        transform = self.build_transform(dims)
        given = None if self.domain == "mel" else self.value_range  # which is that of waveforms
        obfuscation = build_obfuscation(self.obfuscation) if self.obfuscation else None
        transform.layout(classifier.input_size[1:])  # refuses what is not exact before anything is written
        return RateDistortion(
            classifier, transform, obfuscation, self.distortion, self.internal_batch_size,
            self.batch_invariant, given,
        )  # fmt: skip

    def build_classifier(self) -> "Classifier":
        """The frozen classifier of signals in the domain.

        Raises:
            InputError: an unknown name, weights that do not fit or cannot be had, a wrong file of class names; as
                `on_spectrograms`.
        """
        from amortex.classifiers.loading import load_classifier
        from amortex.classifiers.spectrograms import on_spectrograms

        classifier = load_classifier(
            self.classifier, self.weights, self.num_classes, self.class_names, self.model_args,
            self.activation, input_size=self.input_size, mean=self.mean, std=self.std,
        )  # fmt: skip
        return on_spectrograms(classifier) if self.domain == "mel" else classifier

    def build_transform(self, dims: int = 2) -> "Transform":
        """The transform of signals with so many axes.

        Raises:
            InputError: an unknown name, or arguments that the transform refuses.
        """
        name = check_name("transform", self.transform, TRANSFORMS)
        problem = self.resolved(dims)
        if problem.levels is None or not 1 <= problem.levels <= MOST_LEVELS:
            raise InputError(f"levels must be between 1 and {MOST_LEVELS}, not {problem.levels}")
        arguments: dict[str, dict[str, Any]] = {
            "wavelet": {"wavelet": problem.wavelet, "levels": problem.levels, "padding": self.padding, "dims": dims},
            "fourier": {"octaves": problem.levels},
            "polar": {"octaves": problem.levels},
            "shearlet": {"levels": problem.levels},
        }
        transform: Transform = load(TRANSFORMS[name])(**arguments.get(name, {}))
        return transform

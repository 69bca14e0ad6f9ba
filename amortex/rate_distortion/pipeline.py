"""The rate-distortion pipeline: signal -> coefficients -> mask -> obfuscation -> classifier -> distortion, rate.

Teachers, training and metrics all go through `RateDistortion`; nothing else in amortex obfuscates a signal.
"""

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amortex.classifiers.classifier import Classifier
from amortex.classifiers.data_config import checked_range
from amortex.core.catalog import check_name
from amortex.core.errors import InputError
from amortex.core.layout import Coefficients
from amortex.core.modalities import modality_of
from amortex.core.noise_streams import NoiseStreams
from amortex.obfuscations import build_obfuscation
from amortex.obfuscations.base import Obfuscation
from amortex.rate_distortion import DistortionName
from amortex.rate_distortion.chunking import Chunking, Pause, idle, paused
from amortex.rate_distortion.distortions import DISTORTIONS, label_max
from amortex.rate_distortion.encoded_batch import EncodedBatch, Outcome
from amortex.rate_distortion.noise import mix_band, unit_noise
from amortex.rate_distortion.silence import live_entries
from amortex.transforms.base import Transform
from amortex.transforms.wavelet import Wavelet


class RateDistortion(Chunking, nn.Module):
    """Distortion and rate of masks for a classifier.

    Arguments:
        classifier: frozen.
        transform: the coefficients that masks are over.
        obfuscation: what replaces masked coefficients; by default that of the modality.
        distortion: ``label_l2``, ``label_max``, ``l2`` or ``kl``. Images whose target is not the predicted class
            are measured by ``label_max`` whatever is asked for: with a probability near 0 to preserve, the empty
            mask would be optimal.
        value_range: what signals are clipped to; by default [0, 1] for images and volumes, [-1, 1] for sound.
        internal_batch_size: most obfuscated images that are in memory at once; draws beyond are chunked.
        batch_invariant: compute each image apart from its batch, so that its result is the same in any to the last bit.
            Kernels are chosen by the size of a batch, and hundreds of steps amplify their rounding into other optima.

    References:
        Kolek et al., Cartoon Explanations of Image Classifiers, ECCV 2022, eq. 2-5. Algorithm 1 prints
        the squared distortion; section 2 and the authors' code do not square, nor does this.
    """

    def __init__(
        self,
        classifier: Classifier,
        transform: Transform | None = None,
        obfuscation: Obfuscation | None = None,
        distortion: DistortionName = "label_l2",
        internal_batch_size: int = 16,
        batch_invariant: bool = False,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        nn.Module.__init__(self)
        Chunking.__init__(self, internal_batch_size, batch_invariant)
        check_name("distortion", distortion, DISTORTIONS)
        modality = modality_of(len(classifier.input_size) - 1)
        self.classifier = classifier
        self.transform = transform or Wavelet(dims=modality.dims)
        self.obfuscation = obfuscation or build_obfuscation(modality.obfuscation)
        self.distortion = distortion
        self.value_range = checked_range(value_range or modality.value_range, classifier.mean, classifier.std)
        if distortion == "kl" and classifier.multi_label:
            raise InputError("kl compares distributions over classes, and several labels have none: use label_l2 or l2")

    def __repr__(self) -> str:
        return f"RateDistortion({self.classifier}, {self.transform}, {self.obfuscation.name!r}, {self.distortion!r})"

    def identity(self) -> dict[str, Any]:
        """What measurements and a decoder's weights belong to, as plain values."""
        classifier = self.classifier
        config = {key: list(v) if isinstance(v, tuple) else v for key, v in classifier.data_config.items()}
        return {
            "classifier": classifier.name,
            "classifier_weights": classifier.fingerprint(),
            "num_classes": classifier.num_classes,
            **{f"classifier_{key}": value for key, value in config.items()},
            **{f"transform_{key}": value for key, value in self.transform.settings().items()},
            "obfuscation": self.obfuscation.name,
            "distortion": self.distortion,
            "activation": classifier.activation,
            "value_range": list(self.value_range),
        }

    @torch.no_grad()
    def encode(self, image: Tensor, target: Tensor | None = None, probabilities: Tensor | None = None) -> EncodedBatch:
        """Coefficients, replacement statistics and reference output of signals ``(B, C, *size)``.

        `target` ``(B,)`` defaults to the predicted classes; `probabilities` ``(B, M)`` are computed unless known.
        """
        layout = self.transform.layout(tuple(image.shape[2:]), image.device)
        bands, locations, scales, outputs = [], [], [], [] if probabilities is None else [probabilities]
        live = live_entries(self.transform, image)
        lives = repeat(None) if live is None else live.split(self.images_at_once)
        for chunk, part in zip(image.split(self.images_at_once), lives, strict=False):
            coefficients = self.transform(chunk)
            replacement = self.obfuscation.replacement(chunk, coefficients, self.transform, self.value_range, part)
            location, scale = self.transform.adapt(*replacement.only_live(part), coefficients)
            bands.append(coefficients.bands)
            locations.append(location)
            scales += [] if scale is None else [scale]
            outputs += [self.phi(chunk)] if probabilities is None else []
        probabilities = torch.cat(outputs)
        highest = probabilities.argmax(-1)
        target = highest if target is None else target
        return EncodedBatch(
            image,
            Coefficients(tuple(map(torch.cat, zip(*bands, strict=True))), layout),
            layout.split(torch.cat(locations)),
            layout.split(torch.cat(scales)) if scales else None,
            probabilities,
            target,
            (target == highest) | self.classifier.decides(probabilities, target, highest),
            live,
        )

    def obfuscate(self, encoded: EncodedBatch, mask: Tensor, noise: tuple[Tensor, ...] | None) -> Tensor:
        """``y = clamp(T^-1(s h + (1 - s) v))`` for masks s ``(B, k)`` -> ``(B, L, C, *size)``.

        `noise` is unit noise per band, ``(B, L, C, *positions)``; None means a ``v`` that is not random.
        """
        images: Tensor = self.picture(self.mix(encoded, mask, noise)).unflatten(0, (len(mask), -1))
        return images

    def mix(self, encoded: EncodedBatch, mask: Tensor, noise: tuple[Tensor, ...] | None) -> Coefficients:
        """``s h + (1 - s) v``, the draws in the batch: ``(B L, C, *positions)`` per band."""
        masks, scales = encoded.layout.split(mask[:, None]), encoded.scale
        dims, bands = len(encoded.layout.size), []
        for index, (h, s) in enumerate(zip(encoded.coefficients.bands, masks, strict=True)):
            random = () if noise is None or scales is None else (scales[index], noise[index], dims)
            bands.append(mix_band(h, s, encoded.location[index], *random))
        return Coefficients(tuple(band.flatten(0, 1) for band in bands), encoded.layout)

    def picture(self, coefficients: Coefficients) -> Tensor:
        """``clamp(T^-1(c))`` to the range of values, ``(B, C, *size)``."""
        return F.hardtanh(self.transform.inverse(coefficients), *self.value_range)  # clamp with one kernel backward

    def forward(
        self, encoded: EncodedBatch, mask: Tensor, streams: NoiseStreams, samples: int = 64, pause: Pause = idle
    ) -> Outcome:
        """Measure masks ``(B, k)`` over `samples` fresh draws, without gradients."""
        (outputs,) = self.probabilities(encoded, [mask], streams, samples, pause)
        kept = self.classifier.decides(outputs, encoded.target[:, None], encoded.highest[:, None])
        return Outcome(self.distortions(encoded, outputs), encoded.rate(mask), outputs.mean(1), kept)

    @torch.no_grad()
    def probabilities(
        self, encoded: EncodedBatch, masks: Sequence[Tensor], streams: NoiseStreams, samples: int, pause: Pause = idle
    ) -> Tensor:
        """``Phi(y)`` of R masks ``(B, k)`` per image, each under the same fresh draws: ``(R, B, L, M)``."""
        images = []
        for chunk, counts in self.chunks_of_draws(len(encoded.image), encoded.samples(samples)):
            part, chunks = encoded.of(chunk), []
            for count in paused(counts, pause):
                noise = self.noise(part, streams, chunk, count)
                chunks.append(torch.stack([self.outputs(part, mask[chunk], noise) for mask in masks]))
            images.append(torch.cat(chunks, dim=2))
        return torch.cat(images, dim=1)

    def value_and_gradient(
        self, encoded: EncodedBatch, mask: Tensor, streams: NoiseStreams, samples: int
    ) -> tuple[Tensor, Tensor]:
        """Mean distortion ``(B,)`` over `samples` draws and its gradient with respect to the mask, ``(B, k)``.

        Each chunk of draws is differentiated before the next is made, so memory does not grow with `samples`.
        """
        values = torch.zeros_like(mask[:, 0])
        gradients = torch.zeros_like(mask)
        for chunk, counts in self.chunks_of_draws(len(encoded.image), encoded.samples(samples)):
            part = encoded.of(chunk)
            total = sum(counts)
            for count in counts:
                noise = self.noise(part, streams, chunk, count)
                with torch.enable_grad():
                    leaf = mask[chunk].detach().requires_grad_()
                    distortion = self.distortions(part, self.outputs(part, leaf, noise)).sum(1) / total
                    (gradient,) = torch.autograd.grad(distortion.sum(), leaf)
                values[chunk] += distortion.detach()
                gradients[chunk] += gradient
        return values, gradients

    def noise(
        self, encoded: EncodedBatch, streams: NoiseStreams, images: slice, samples: int
    ) -> tuple[Tensor, ...] | None:
        """Unit noise per band, ``(B, samples, C, *positions)``, for some of the `streams`, if there is any."""
        if encoded.scale is None:
            return None
        channels, dtype = encoded.image.shape[1], encoded.image.dtype
        noise = unit_noise(self.obfuscation.noise_, encoded.layout, channels, streams, images, samples, dtype)
        return self.transform.shape_noise(noise, encoded.layout, self.obfuscation.to_uniform)

    def phi(self, signals: Tensor) -> Tensor:
        """``Phi``, class probabilities ``(B, M)`` of signals ``(B, C, *size)``."""
        return self.classifier.probabilities(self.classifier(signals))

    def outputs(self, encoded: EncodedBatch, mask: Tensor, noise: tuple[Tensor, ...] | None) -> Tensor:
        """``Phi(y)``, ``(B, L, M)``."""
        y = self.obfuscate(encoded, mask, noise)
        outputs: Tensor = self.phi(y.flatten(0, 1)).unflatten(0, y.shape[:2])
        return outputs

    def distortions(self, encoded: EncodedBatch, outputs: Tensor, name: DistortionName | None = None) -> Tensor:
        """Distortions of outputs ``Phi(y)`` ``(B, L, M)`` from the reference, ``(B, L)``; by default its own."""
        p, target = encoded.probabilities, encoded.target
        return torch.where(
            encoded.predicted[:, None],
            DISTORTIONS[name or self.distortion](p, outputs, target),
            label_max(p, outputs, target),
        )

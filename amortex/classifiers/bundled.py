"""Networks that come with amortex: their names, and the functions that build them. Imports nothing heavy."""

# A function takes `pretrained`, whether the network has its bundled weights. Its `pretrained_cfg` holds its
# data config (`input_size` (C, *size), `mean`, `std`; of sound `sample_rate` in Hz and `lengths`, see `SoundReader`),
# `label_names` and `activation`.
BUNDLED = {
    "digits3d": "amortex.classifiers.digits3d:digits3d",
    "moving_digits": "amortex.classifiers.moving_digits:moving_digits",
    "yamnet": "amortex.classifiers.yamnet:yamnet",
}

"""Networks that come with amortex: their names, and the functions that build them. Imports nothing heavy."""

# A function takes `pretrained`, whether the network has its bundled weights. The network's `pretrained_cfg` holds its
# data config (`input_size` (C, *size), `mean`, `std`; of sound `sample_rate` in Hz), `label_names`, and the `activation`.
BUNDLED = {
    "yamnet": "amortex.classifiers.yamnet:yamnet",
}

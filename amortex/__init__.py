"""Rate-distortion explanations of image classifiers.

`load_explainer` is the way in. All names are imported when they are first used, so that ``import amortex`` costs
nothing; `__init__.pyi` lists them.

>>> amortex.load_explainer(method="cartoonx").explain("photo.jpg")  # doctest: +SKIP
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

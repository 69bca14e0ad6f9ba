"""What a training run leaves: checkpoints, panels, reports. Each callback is imported when it is first used."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

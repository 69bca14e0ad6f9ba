"""The page from a notebook or a program."""

from importlib.util import find_spec
from typing import Any

from amortex.app.given_signals import Signals, read_signals
from amortex.app.loaded_explainer import LoadedExplainer
from amortex.core.errors import InputError
from amortex.core.modalities import modality_of

NEEDED = ("starlette", "uvicorn")
HEIGHT = 900  # of the frame in a notebook
FRAME = "'self' http://localhost:* http://127.0.0.1:*"  # where notebooks are served


def open_page(explainer: LoadedExplainer, images: Signals | None = None, port: int = 0) -> Any:
    """Serve the page in a thread, see `LoadedExplainer.page`."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(f'{" and ".join(missing)} missing: pip install "amortex[page]"')
    from amortex.page.serving import serve_in_thread
    from amortex.page.site import Site

    site = Site(explainer)
    if images is not None:
        signals, _ = read_signals(images, explainer.explainer.rate_distortion)
        service = site.service(modality_of(signals.ndim - 2).name)
        site.given[service.modality] = [service.signals.give(signal[None].cpu()) for signal in signals]
    address, _ = serve_in_thread(site, port, FRAME)
    return _framed(address)


def _framed(address: str) -> Any:
    """The address, or in a notebook a frame that shows it."""
    if find_spec("IPython") is None:
        return address
    import IPython

    module: Any = IPython  # which says nothing of its types
    return address if module.get_ipython() is None else module.display.IFrame(address, "100%", HEIGHT)

"""What the page is made of: its files, its table of signals, and the classifiers behind it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from amortex.app.library import load_explainer
from amortex.app.loaded_explainer import LoadedExplainer
from amortex.app.options import AMORTIZED
from amortex.core.modalities import MODALITIES, modality_of
from amortex.page.pictures import png_bytes
from amortex.page.service import METHODS, Service, knobs
from amortex.page.signals import offered

STATIC = Path(__file__).parent / "static"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}  # fmt: skip


@cache
def files() -> dict[str, tuple[bytes, str]]:
    """The page's own files by their names, with their types: all that is ever served from the disk."""
    return {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in STATIC.iterdir() if path.suffix in TYPES}


@cache
def nino() -> bytes:
    """El Nino sea surface temperatures, four a year, as JSON."""
    import pywt

    times, values = pywt.data.nino()
    return json.dumps({"start": float(times[0]), "step": 0.25, "values": [round(float(v), 4) for v in values]}).encode()


class Site:
    """The services of all kinds of signals, each loaded when it is first asked for; used by one thread alone.

    Arguments:
        base: explains the signals of one kind; by default the bundled explainer of images.
        device: of the classifiers.
    """

    def __init__(self, base: LoadedExplainer | None = None, device: str = "auto") -> None:
        self.device = device
        self._services: dict[str, Service] = {}
        self.given: dict[str, list[str]] = {}  # keys of signals that the program has brought
        if base is not None:
            dims = len(base.classifier.signal_config["input_size"]) - 1
            self._services[modality_of(dims).name] = Service(base)
        self._table = offered()
        self._previews: dict[str, bytes] = {}

    def service(self, modality: str) -> Service:
        """The service for signals of a kind."""
        if modality not in self._services:
            method = None if modality == "image" else "wam_sg"
            self._services[modality] = Service(load_explainer(method=method, modality=modality, device=self.device))
        return self._services[modality]

    def describe(self, static: bool = False) -> dict[str, Any]:
        """All that the page needs to know to begin; classifiers of images alone are loaded for it."""
        image = self.service("image").describe()
        signals: dict[str, Any] = {name: [] for name in MODALITIES}
        for entry in self._table.values():
            signals[entry.modality].append({"key": entry.key, "title": entry.title})
        for modality, keys in self.given.items():
            given = [{"key": key, "title": f"yours, number {number}"} for number, key in enumerate(keys, start=1)]
            signals[modality] = given + signals[modality]
        methods = {name: [{"name": method, "knobs": knobs(method)} for method in self._methods(name)]
                   for name in MODALITIES}  # fmt: skip
        return {"static": static, "signals": signals, "methods": methods, "image": image}

    def _methods(self, modality: str) -> tuple[str, ...]:
        """The methods for signals of a kind, without loading their classifier."""
        if modality in self._services:
            return self._services[modality].methods
        return tuple(method for method in METHODS[modality] if method != AMORTIZED)

    def preview(self, key: str) -> bytes:
        """The PNG file of a photograph as the classifier sees it; raises InputError where there is none."""
        if key not in self._previews:
            content = png_bytes(self.service("image").preview(key))
            if key not in self._table:
                return content
            self._previews[key] = content
        return self._previews[key]

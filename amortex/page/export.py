"""The static version: the page's files, and beside them what it would ask a server for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amortex.io.files import write_atomically
from amortex.page.site import Site, files, nino

# methods that cost little, and what is asked of them
EXPORTED = {"image": ("amortized", "wam_sg"), "audio": ("wam_ig",), "volume": ("wam_sg",)}
OPTIONS: dict[str, dict[str, Any]] = {"image": {}, "audio": {"rate": 0.2}, "volume": {}}
MOST_SIGNALS = 4


def export(folder: Path, device: str = "auto", most: int = MOST_SIGNALS) -> None:
    """Write the page with precomputed explanations and curves, for any web server that serves files.

    Arguments:
        folder: made unless it is there.
        device: of the classifiers.
        most: signals of each kind.
    """
    site = Site(device=device)
    described = site.describe(static=True)
    for modality, signals in described["signals"].items():
        described["signals"][modality] = signals[:most]
    for modality, methods in described["methods"].items():
        described["methods"][modality] = [method for method in methods if method["name"] in EXPORTED[modality]]
    for name, content in _files(site, described):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    print(f"the static page is in {folder}: put the folder on any web server, for instance python -m http.server")


def _files(site: Site, described: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Names in the folder, and contents; the first page last, so that it never lacks what it needs."""
    for name, (content, _) in files().items():
        if name != "index.html":
            yield f"static/{name}", content
    yield "data/nino.json", nino()
    for entry in described["signals"]["image"]:
        yield f"data/signals/{entry['key']}.png", site.preview(entry["key"])
    for modality, signals in described["signals"].items():
        for method in EXPORTED[modality]:
            for entry in signals:
                events = explained(site, modality, entry["key"], method)
                yield f"data/explained/{entry['key']}-{method}.json", json.dumps(events, allow_nan=False).encode()
    yield "data/site.json", json.dumps(described, allow_nan=False).encode()
    yield "index.html", files()["index.html"][0]


def explained(site: Site, modality: str, key: str, method: str) -> list[dict[str, Any]]:
    """The events of an explanation, and of its curve where it is of an image."""
    events: list[dict[str, Any]] = []
    service = site.service(modality)
    service.explain({"signal": key, "method": method, **OPTIONS[modality]}, events.append, lambda: None)
    result = next(event for event in events if event["event"] == "result")
    if modality == "image":
        service.curve({"result": result["result"]}, events.append, lambda: None)
    return [event for event in events if event["event"] != "progress"]

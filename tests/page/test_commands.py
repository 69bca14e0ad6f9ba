"""The command line, the page from a program, and the static version."""

import json
import socket
import subprocess
import sys
import urllib.request

import numpy as np
import pytest

from amortex.core.errors import InputError
from amortex.page import export as export_module
from amortex.page import service as service_module
from amortex.page.__main__ import main
from amortex.page.serving import hosts_of
from helpers.library import NAMES, load
from helpers.page import site

HEAVY = ("torch", "timm", "numpy", "lightning", "matplotlib", "wandb", "starlette", "uvicorn")


@pytest.mark.parametrize(
    ("arguments", "status", "answer"),
    [(["--help"], 0, "usage: python -m amortex.page"), (["--prt", "1"], 2, "did you mean --port?"),
     (["--port", "70000"], 2, "--port must be 0 to 65535"), (["--export", "file"], 2, "give a folder"),
     (["--frame", "https://a b; script-src *"], 2, "--frame must be an origin such as")],
)  # fmt: skip
def test_help_and_mistakes_import_nothing_heavy(arguments, status, answer, tmp_path):
    (tmp_path / "file").touch()
    code = f"""
import sys
from amortex.page.__main__ import main
try:
    status = main(sys.argv[1:])
except SystemExit as error:
    status = error.code
print("imported:", *(name for name in {HEAVY} if name in sys.modules))
sys.exit(status)
"""
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert answer in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


def test_a_port_in_use_and_a_host_that_is_not_here_are_told_in_a_line(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["--port", str(taken.getsockname()[1])]) == 2
    assert main(["--host", "nowhere.invalid", "--port", "0"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert all("cannot listen at" in error and "choose another --port" in error for error in errors)


@pytest.mark.parametrize(
    ("host", "any_name"), [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True)]
)
def test_other_names_are_refused_where_the_page_is_for_this_machine_alone(host, any_name):
    assert (hosts_of(host) == ["*"]) == any_name


def test_a_program_opens_the_page_of_its_own_explainer():
    explainer = load("wam", class_names=NAMES)
    picture = np.zeros((40, 40, 3), np.uint8)
    address = explainer.page([picture])
    with urllib.request.urlopen(address + "data/site.json") as answer:
        described = json.load(answer)
        policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'self' http://localhost:*" in policy
    assert described["image"]["classifier"] == "helpers.networks.TinyNet"
    first = described["signals"]["image"][0]
    assert first["title"] == "yours, number 1"
    with urllib.request.urlopen(f"{address}data/signals/{first['key']}.png") as answer:
        assert answer.headers["content-type"] == "image/png"


def test_what_the_page_cannot_explain_is_refused():
    with pytest.raises(InputError, match="no such file"):
        load("wam").page("nowhere.png")


def test_the_static_version_has_all_that_its_widgets_ask_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export_module, "Site", lambda device: site())
    monkeypatch.setattr(export_module, "EXPORTED", {"image": ("wam_sg",), "audio": (), "volume": ("wam_sg",)})
    monkeypatch.setattr(service_module, "CURVE_RATES", (0.0, 1.0))
    export_module.export(tmp_path / "static", most=1)
    assert str(tmp_path / "static") in capsys.readouterr().out
    described = json.loads((tmp_path / "static/data/site.json").read_text())
    assert described["static"] is True
    assert [method["name"] for method in described["methods"]["image"]] == ["wam_sg"]
    (photograph,) = described["signals"]["image"]
    assert (tmp_path / f"static/data/signals/{photograph['key']}.png").is_file()
    events = json.loads((tmp_path / f"static/data/explained/{photograph['key']}-wam_sg.json").read_text())
    assert [event["event"] for event in events] == ["result", "point", "point", "end"]
    for name in ("index.html", "static/main.js", "static/style.css", "data/nino.json"):
        assert (tmp_path / "static" / name).is_file()

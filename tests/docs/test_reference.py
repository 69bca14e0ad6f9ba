"""The API reference: every public module and name is in it, and nothing warns."""

import importlib
import pkgutil
import subprocess
import sys

import amortex


def test_the_reference_is_written_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "pdoc", "--docformat", "google", "-o", str(tmp_path), "amortex"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in (done.stdout + done.stderr).lower()
    for module in pkgutil.iter_modules(amortex.__path__):  # what subpackages offer stands on their pages
        page = (tmp_path / "amortex" / f"{module.name}.html").read_text(encoding="utf-8")
        for name in getattr(importlib.import_module(f"amortex.{module.name}"), "__all__", ()):
            assert f'id="{name}"' in page or (tmp_path / "amortex" / module.name / f"{name}.html").is_file()

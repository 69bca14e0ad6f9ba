"""Settings of the documentation: `sphinx-build -W --keep-going docs build/docs`, or `make docs`. Runs offline."""

import inspect
from typing import Any

from amortex.core.version import __version__

project = "amortex"
author = "the amortex authors"
copyright = "the amortex authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
templates_path = ["_templates"]
exclude_patterns = ["_templates"]

html_theme = "furo"
html_title = f"amortex {__version__}"
html_show_sourcelink = False

myst_heading_anchors = 4  # links to headings work here as they do on GitHub

default_role = "py:obj"  # `name` in a docstring links to what has that name, and is code where nothing has
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # what Lightning and torch say of their hooks stands in their own documentation
autodoc_typehints_format = "short"
maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False


def skip_member(app: Any, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what Python itself documents: the fields of named tuples ("Alias for field number 0")."""
    return True if (inspect.getdoc(member) or "").startswith("Alias for field number") else None


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", skip_member)

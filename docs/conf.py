"""Settings of the documentation: `sphinx-build -W --keep-going docs build/docs`, or `make docs`. Runs offline."""

import inspect
from typing import Any

from docutils import nodes
from sphinx.util.nodes import make_refnode

from amortex.core.version import __version__

project = "amortex"
author = copyright = "the amortex authors"
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


def find_by_last_name(app: Any, env: Any, node: Any, content: nodes.Node) -> nodes.Node | None:
    """Resolve a name without its module, as docstrings have it, where only one object ends with it."""
    target = node.get("reftarget", "").removeprefix("amortex.")
    objects = env.domains["py"].objects if node.get("refdomain") == "py" else {}
    matches = [name for name, entry in objects.items() if f".{name}".endswith(f".{target}") and not entry.aliased]
    if len(matches) != 1:
        return None
    place = objects[matches[0]]
    return make_refnode(app.builder, node["refdoc"], place.docname, place.node_id, content, matches[0])


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", skip_member)
    app.connect("missing-reference", find_by_last_name)

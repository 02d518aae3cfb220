"""How Sphinx builds the site: `python -m sphinx -n -W --keep-going -b html docs docs/_build/html`.

It asks the network for nothing, so a build needs no inventory of another project, and every link that leaves the
pages is an ordinary URL.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

# For the extension below, wherever Sphinx is started.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

project = "coro"
author = "The coro authors"
project_copyright = "the coro authors"
version = release = installed_version("coro")

extensions = ["myst_parser", "sphinx.ext.autodoc", "docs.plain_docstrings"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
nitpicky = True
# b"" is two straight quotes.
smartquotes = False

myst_enable_extensions = ["colon_fence"]
# Sections down to the third level can be linked to: page.md#the-section.
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"coro {release}"
html_static_path: list[str] = []
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
highlight_language = "text"

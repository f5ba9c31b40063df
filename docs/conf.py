"""How the documentation is built: ``make docs``, offline, with warnings as errors."""

from __future__ import annotations

import fantasia_dask

project = "fantasia-dask"
author = "the fantasia-dask developers"
project_copyright = author
release = version = fantasia_dask.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

autodoc_typehints = "none"  # types, shapes and units are in the docstrings
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # or every "path" among the types would link to some attribute of that name
default_role = "code"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"fantasia-dask {version}"
html_static_path: list[str] = []
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "show_nav_level": 1,
    "collapse_navigation": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
    "icon_links": [
        {"name": "Source", "url": "https://github.com/fantasia-dask/fantasia-dask", "icon": "fa-brands fa-github"}
    ],
}

"""How `make docs` builds the documentation; the reference is made of the docstrings."""

import inspect
from importlib.metadata import version as version_of

from numpydoc.xref import DEFAULT_LINKS

import stemcount
import tomo
import viewers

project = "stemcount"
author = copyright = "the stemcount developers"
version = release = version_of("stemcount")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

# Pages link to each other's headings as they do on any code host.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

# `name` in a docstring becomes a link where it is one of the public names.
default_role = "py:obj"
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # the docstrings say it, with shapes and units
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
# Types of parameters link to our own classes; links into other projects would need the network.
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
DEFAULT_LINKS.clear()
numpydoc_xref_aliases = {
    name: f"{package.__name__}.{name}"
    for package in (viewers, tomo, stemcount)
    for name in package.__all__
    if inspect.isclass(getattr(package, name))
}
python_use_unqualified_type_names = True


def setup(app):
    """Leave out the fields of named tuples, "Alias for field number 0": the class says what they are."""
    app.connect(
        "autodoc-skip-member",
        lambda app, what, name, thing, skip, options: type(thing).__name__ == "_tuplegetter" or None,
    )


html_theme = "furo"
html_title = f"stemcount {version}"
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

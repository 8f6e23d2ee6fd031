"""napari viewers, figures, movies and the report.

The public names are listed in `__init__.pyi` and loaded when first used, so that
``import viewers`` costs nothing. ``EXPORT_FORMATS`` holds the formats that `export` writes, and what
each is for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

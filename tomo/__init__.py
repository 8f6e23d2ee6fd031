"""Views with atom counts -> occupied sites of the crystal grid, each with a certainty.

The public names are listed in `__init__.pyi` and loaded when first used, so that
``import tomo`` costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

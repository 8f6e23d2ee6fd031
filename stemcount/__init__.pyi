from .errors import InputError as InputError
from .image import ZoneAxisImage as ZoneAxisImage
from .mixtures import fit_mixtures as fit_mixtures
from .results import AtomCounts as AtomCounts
from .results import ColumnFit as ColumnFit
from .results import FitFlag as FitFlag
from .results import Hypothesis as Hypothesis
from .results import Mixture as Mixture
from .save import save_image as save_image

__version__: str

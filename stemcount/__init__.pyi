from .complete import complete_columns as complete_columns
from .counting import count_atoms as count_atoms
from .counting import counts_from_hypothesis as counts_from_hypothesis
from .errors import InputError as InputError
from .find import find_columns as find_columns
from .fit import fit_columns as fit_columns
from .image import ZoneAxisImage as ZoneAxisImage
from .library import library_reading as library_reading
from .load import load_image as load_image
from .mixtures import fit_mixtures as fit_mixtures
from .model import background_image as background_image
from .model import model_image as model_image
from .recount import recount as recount
from .results import AtomCounts as AtomCounts
from .results import ColumnFit as ColumnFit
from .results import FitFlag as FitFlag
from .results import Hypothesis as Hypothesis
from .results import Mixture as Mixture
from .save import save_image as save_image
from .series import SeriesCounts as SeriesCounts
from .series import count_time_series as count_time_series
from .simulate import simulate_columns as simulate_columns
from .simulate import simulate_crystal as simulate_crystal
from .voronoi import CellIntegrals as CellIntegrals
from .voronoi import integrate_cells as integrate_cells

__version__: str

from .crystal import Crystal as Crystal
from .crystal import Sublattice as Sublattice
from .crystal import fcc as fcc
from .crystal import rock_salt as rock_salt
from .crystal import zinc_blende as zinc_blende
from .errors import InputError as InputError
from .view import View as View

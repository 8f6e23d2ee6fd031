"""Views before anything is reconstructed: columns that noise leaves without room are not warned of."""

import numpy as np
import pytest

import tomo
from tomo.view_checks import check_lengths

COLUMNS = 200
NUMBERS = np.arange(8)


@pytest.mark.parametrize(("loss", "warned"), [(4.0, 0), (5.5, 0), (9.0, 1)])
def test_room_that_noise_explains_is_not_told(loss, warned):
    """200 columns of four atoms on lines of four sites; of one, whose fifth atom has no room, four are less
    likely than five by that many nats: noise takes the worst of 200 columns 6.1 nats from its mean."""
    atoms = np.full(COLUMNS, 4)
    atoms[17] = 5
    sites = np.column_stack([np.zeros(COLUMNS), np.arange(COLUMNS), np.arange(COLUMNS)]).astype(int)
    view = tomo.View((1, 0, 0), sites, log_likelihood=-loss * (NUMBERS - atoms[:, None]) ** 2.0)
    lines = np.arange(COLUMNS, dtype=np.int32)
    told = check_lengths((view,), np.zeros(COLUMNS, np.int32), lines, np.full(COLUMNS, 4), strict=False)
    assert len(told) == warned
    assert all("column 17: 5 atoms were counted, but its line has room for only 4" in text for text in told)

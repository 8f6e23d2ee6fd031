"""`stemcount count`: a table's columns are counted as `stemcount run` counts an image's."""

import numpy as np
import pytest

import stemcount
from stemcount.cli.stages import count_stage
from stemcount.cli.tables import write_table


@pytest.mark.parametrize("place", ["known", "one missing", "none"])
def test_where_columns_stand_is_told_to_counting_if_the_table_says_it(tmp_path, monkeypatch, place):
    x, y = (axis.ravel().astype(float) for axis in np.meshgrid(np.arange(8.0), np.arange(5.0)))
    values = 1.0 + np.arange(40) % 3
    if place == "one missing":
        x[7] = np.nan
    where = {} if place == "none" else {"x": x, "y": y}
    write_table(tmp_path / "columns.csv", {**where, "cross_section": values})
    told = []

    def count_atoms(cross_sections, **settings):
        told.append(settings.get("positions"))
        return real(cross_sections, **settings)

    real = stemcount.count_atoms
    monkeypatch.setattr(stemcount, "count_atoms", count_atoms)
    count_stage(tmp_path / "columns.csv", tmp_path / "out.csv", None, 4, None, None, "fixed")
    if place == "known":
        assert np.array_equal(told[0], np.column_stack([x, y]))
    else:
        assert told == [None]

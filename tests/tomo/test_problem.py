"""What a count costs, worked out by hand."""

import numpy as np

import tomo


def test_a_count_ruled_out_between_others_costs_what_lies_between_and_more_atoms_the_last_slope():
    seen = tomo.View((1, 0, 0), [(0, 0, 0)], log_likelihood=[[-2.0, -np.inf, 0.0, -3.0]])
    sites = [(-2, 0, 0), (0, 0, 0), (2, 0, 0), (4, 0, 0)]
    problem = tomo.build_problem([seen, tomo.View((0, 1, 0), sites, log_likelihood=np.zeros((4, 4)))])
    assert problem.table.tolist() == [2, 1, 0, 3, 6]

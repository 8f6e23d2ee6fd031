"""Warnings of several images that say the same."""

from viewers.said_once import said_once


def test_the_first_is_said_in_full_and_of_others_what_differs():
    said = [
        "im0: a column is 3.9 times as bright, and has to be 4 times.",
        "views contradict each other",
        "im1: a column is 3.5 times as bright, and has to be 4 times.",
        "im0: a halo of 25 %. All may count more.",
        "im2: a column is 3.9 times as bright, and has to be 4 times.",
        "im1: a halo of 17 %. All may count more.",
    ]
    assert said_once(said) == [
        "im0: a column is 3.9 times as bright, and has to be 4 times. Likewise im1 (3.5), im2.",
        "views contradict each other",
        "im0: a halo of 25 %. All may count more. Likewise im1 (17 %).",
    ]


def test_other_words_are_another_warning():
    said = ["a: tilted by 3 degrees.", "b: tilted by 3 degrees or more.", "certainty: 9 atoms."]
    assert said_once(said) == said
    assert said_once([]) == []

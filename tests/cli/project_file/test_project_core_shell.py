"""Core-shell crystals in a project file: what is accepted, what it means, and every way to get it wrong."""

import pytest

from stemcount import InputError
from stemcount.cli.project_file.crystals import relative_contrast
from stemcount.cli.project_file.project import load_project

GOOD = """
[crystal]
structure = "core_shell"
a = 6.10
core = { structure = "rock_salt", species = ["Pb", "Se"] }
shell = { structure = "zinc_blende", species = ["Cd", "Se"] }
target = "Pb"

[[image]]
file = "a_110.hspy"
zone_axis = [1, 1, 0]

[[image]]
file = "a_100.hspy"
zone_axis = [1, 0, 0]
"""


def test_the_design_s_example(project_file):
    section = load_project(project_file(GOOD)).crystal
    crystal = section.crystal()
    assert section.name == "PbSe/CdSe"
    assert crystal.structure == "core_shell"
    assert [s.species for s in crystal.sublattices] == ["Pb", "Se", "Cd"]
    assert crystal.species == "Pb"
    assert crystal.a == 6.10


@pytest.mark.parametrize("order", ['"Pb", "Se"', '"Se", "Pb"'])
def test_the_target_is_the_core_s_own_species_where_none_is_named(project_file, order):
    text = GOOD.replace('target = "Pb"\n', "").replace('"Pb", "Se"', order)
    assert load_project(project_file(text)).crystal.crystal().species == "Pb"


@pytest.mark.parametrize(
    ("core", "shell", "target", "species"),
    [
        (
            '"zinc_blende", species = ["Cd", "Se"]',
            '"zinc_blende", species = ["Cd", "S"]',
            "Se",
            {"Se", "Cd", "S"},
        ),
        (
            '"rock_salt", species = ["Pb", "Se"]',
            '"rock_salt", species = ["Pb", "S"]',
            "Se",
            {"Se", "Pb", "S"},
        ),
    ],
)
def test_phases_of_equal_structure(project_file, core, shell, target, species):
    text = GOOD.replace('"zinc_blende", species = ["Cd", "Se"]', shell)
    text = text.replace('"rock_salt", species = ["Pb", "Se"]', core).replace('"Pb"\n', f'"{target}"\n')
    crystal = load_project(project_file(text)).crystal.crystal()
    assert crystal.species == target
    assert {s.species for s in crystal.sublattices} == species


@pytest.mark.parametrize("structure", ["rock_salt", "zinc_blende"])
def test_one_phase_needs_no_core(project_file, structure):
    text = f'[crystal]\nstructure = "{structure}"\nspecies = ["Cd", "Se"]\na = 6.05\n'
    section = load_project(project_file(text + '[[image]]\nfile = "a.tif"\nzone_axis = [1, 1, 0]\n')).crystal
    assert section.name == "CdSe"
    assert section.crystal().structure == structure


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            'target = "Pb"',
            'target = "Zn"',
            "target 'Zn' is in neither core nor shell; expected one of.*Pb, Se",
        ),
        ('target = "Pb"', 'target = "Cd"', "target 'Cd' is only in the shell"),
        ('target = "Pb"', 'target = "Se"', "target 'Se' is in core and shell alike.*expected 'Pb'"),
        ('"Pb", "Se"', '"Pbb", "Se"', "crystal.core: species 'Pbb' is not a chemical symbol"),
        ('"Cd", "Se"', '"Cd"', "crystal.shell: species must name 2 element"),
        ('"Cd", "Se"', '"Cd", "Cd"', "crystal.shell: species names 'Cd' twice"),
        ('"rock_salt"', '"wurtzite"', "crystal.core.structure"),
        (
            '"zinc_blende", species = ["Cd", "Se"]',
            '"rock_salt", species = ["Pb", "Se"]',
            "both rock_salt Pb-Se",
        ),
        ('["Cd", "Se"]', '["Zn", "Te"]', "share neither a species nor a structure"),
        ('["Cd", "Se"] }', '["Cd", "Se"], a = 6.0 }', "unknown key crystal.shell.a"),
        (
            'core = { structure = "rock_salt", species = ["Pb", "Se"] }\n',
            "",
            "core is missing; expected core =",
        ),
        (
            'core = { structure = "rock_salt", species = ["Pb", "Se"] }',
            'core = "PbSe"',
            r"crystal.core: expected a table such as \{ structure = .* \}; got 'PbSe'\.$",
        ),
        (
            '"Pb", "Se"',
            '"Pb", "Se", "Te"',
            r"crystal.core.species: expected at most 2 entries; got \['Pb', 'Se', 'Te'\]\.$",
        ),
        ('["Cd", "Se"]', '["Zn", "Te"]', r"through core and shell\.$"),
        (
            "[[image]]",
            "[counting]\nn_components = 5\n\n[[image]]",
            "counting.n_components is for crystals of one",
        ),
        ("a = 6.10", 'a = 6.10\nspecies = ["Pb"]', "names them in core and shell"),
        (
            '"core_shell"',
            '"rock_salt"',
            "core belongs to structure 'core_shell', but structure is 'rock_salt'",
        ),
    ],
)
def test_every_mistake_is_named(project_file, old, new, sentence):
    assert old in GOOD
    path = project_file(GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=sentence) as caught:
        load_project(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_phase_without_species(project_file):
    path = project_file(
        '[crystal]\nstructure = "fcc"\na = 4.08\n[[image]]\nfile = "a"\nzone_axis = [1, 0, 0]'
    )
    with pytest.raises(InputError, match="crystal: species is missing"):
        load_project(path)


def test_species_that_no_view_can_tell_apart_are_refused(project_file):
    """CdSe in InSe: Cd and In in equal columns, their brightness within 4 %; CdSe in ZnSe is fine."""
    equal = GOOD.replace('"rock_salt", species = ["Pb", "Se"]', '"zinc_blende", species = ["Cd", "Se"]', 1)
    equal = equal.replace(
        'shell = { structure = "zinc_blende", species = ["Cd"',
        'shell = { structure = "zinc_blende", species = ["In"',
    )
    equal = equal.replace('target = "Pb"', 'target = "Cd"')
    with pytest.raises(InputError, match="no image can tell Cd from In"):
        load_project(project_file(equal))
    load_project(project_file(equal.replace('"In"', '"Zn"')))


@pytest.mark.parametrize(
    ("core", "shell", "target"),
    [
        ('"fcc", species = ["Au"]', '"fcc", species = ["Ag"]', "Au"),
        ('"rock_salt", species = ["Pb", "Se"]', '"rock_salt", species = ["Sn", "Te"]', "Pb"),
    ],
)
def test_phases_without_a_common_species_are_refused(project_file, core, shell, target):
    """Nothing would tell the thickness of the whole crystal from its composition."""
    text = GOOD.replace('"zinc_blende", species = ["Cd", "Se"]', shell)
    text = text.replace('"rock_salt", species = ["Pb", "Se"]', core).replace('"Pb"\n', f'"{target}"\n')
    with pytest.raises(InputError, match=r"have no species in common.*as Se in PbSe and CdSe"):
        load_project(project_file(text))


def test_columns_of_their_own_tell_alike_species_apart(project_file):
    """In [110] and [100], core and shell cations stand in different columns; along [111] they do not."""
    alike = GOOD.replace('"Cd", "Se"', '"In", "Se"').replace('"Pb"', '"Sn"')
    load_project(project_file(alike))
    along_111 = alike.replace("[1, 1, 0]", "[1, 1, 1]").replace("[1, 0, 0]", "[1, 1, -1]")
    with pytest.raises(InputError, match="no image can tell Sn from In"):
        load_project(project_file(along_111))
    load_project(project_file(alike.replace("[1, 1, 0]", "[1, 1, 1]")))


@pytest.mark.parametrize(
    ("first", "second", "contrast"), [("Pb", "Pb", 0.0), ("Pb", "Cd", 0.598), ("Se", "S", 0.72)]
)
def test_contrast(first, second, contrast):
    assert relative_contrast(first, second) == pytest.approx(contrast, abs=0.005)
    assert relative_contrast(first, second) == relative_contrast(second, first)

"""The project file: what it accepts, and the sentence for every way to get it wrong."""

import pytest

from stemcount import InputError
from stemcount.cli.project_file.project import load_project


def test_the_smallest_project(project_file, tmp_path, gold):
    project = load_project(project_file(gold))
    assert project.crystal.a == 4.08
    assert project.image[0].label == "au_110"
    assert project.reconstruction.runs == 10
    assert project.reconstruction.counts == "soft"
    assert project.reconstruction.vacancies is None
    assert project.resolve(project.image[0].file) == tmp_path / "au_110.hspy"


def test_lists_of_counting_settings_belong_to_the_images_in_order(project_file, gold):
    second = '\n[[image]]\nfile = "b.tif"\nzone_axis = [1, 0, 0]\npixel_size = 0.1\n'
    project = load_project(project_file(gold + second + "[counting]\nn_components = [7, 9]\noffset = 1\n"))
    assert [project.per_image("n_components", i) for i in range(2)] == [7, 9]
    assert project.per_image("offset", 1) == 1


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("a = 4.08", "b = 4.08", "unknown key crystal.b"),
        ("a = 4.08", "", "crystal.a is missing"),
        ("a = 4.08", "a = -1", "crystal.a"),
        ("a = 4.08", 'a = "4.08 A"', "crystal.a: expected a number without quotes and unit; got '4.08 A'"),
        ("[1, 1, 0]", '[1, 1, 0]\ndose = "1e5"', "dose: expected a number without quotes"),
        ("[1, 1, 0]", '[1, 1, 0]\nbackground = "0.5"', "background: expected a number without quotes"),
        ("[1, 1, 0]", '["1", 1, 0]', "zone_axis: expected a number without quotes"),
        ("a = 4.08", 'a = "nan"', "crystal.a: expected a finite number; got 'nan'"),
        ("[[image]]", "[[images]]", "unknown key images; did you mean image"),
        (
            "[1, 1, 0]",
            "[1, 1, 0]\nroi = [0, 9]",
            r"roi\[3\] is missing; expected \[left, right, top, bottom\]",
        ),
        ('"fcc"', '"bcc"', "crystal.structure"),
        ('"Au"', '"Ax"', "'Ax' is not a chemical symbol"),
        ('["Au"]', '["Pb", "Se"]', "species must name 1 element"),
        ("[1, 1, 0]", "[1, 1]", r"au_110.hspy.*zone_axis"),
        ("[1, 1, 0]", "[0, 0, 0]", "not all zero"),
        (
            "[1, 1, 0]",
            "[1, 1, 0]\nbakground = 3",
            r"image\[1\] \(au_110.hspy\).bakground; did you mean background\?",
        ),
        ("[1, 1, 0]", '[1, 1, 0]\nbackground = "bumpy"', "background"),
        ("[1, 1, 0]", "[1, 1, 0]\npixel_size = 0", "pixel_size"),
        ("[1, 1, 0]", "[1, 1, 0]\nsignal = 0", r"image\[1\] \(au_110.hspy\).signal: .* greater .*; got 0"),
        ("[1, 1, 0]", "[1, 1, 0]\nroi = [nan, 1, 2, 3]", r"roi\[1\]: expected a finite number"),
        ("[1, 1, 0]", '[1, 1, 0]\nname = "../a"', "name: expected a name of letters, digits"),
        ("[1, 1, 0]", "[1, 1, 0]\nfixed = { angle = 3 }", "direction and angle must be given together"),
        ("[1, 1, 0]", "[1, 1, 0]\nfixed = { site = [1, 0, 0], position = [1, 2] }", "h . k . l must be even"),
        ("[1, 1, 0]", "[1, 1, 0]\n[reconstruction]\nruns = 0", "reconstruction.runs"),
        ("[1, 1, 0]", "[1, 1, 0]\n[reconstruction]\nvacancies = 2", "reconstruction.vacancies"),
        ("[1, 1, 0]", "[1, 1, 0]\n[counting]\nn_components = [3, 4]", "lists 2 values for 1 images"),
        ("[1, 1, 0]", "[1, 1, 0]\n[counting]\noffset = [-1]", r"offset\[1\]: .*; got -1"),
        ("[1, 1, 0]", '[1, 1, 0]\n[counting]\nlibrary_scale = "free"', "library_scale .* without library"),
        (
            "[1, 1, 0]",
            '[1, 1, 0]\n[counting]\nlibrary = "au.csv"\nn_components = 3',
            "expected n_components or library",
        ),
        (
            "[1, 1, 0]",
            '[1, 1, 0]\n[counting]\nlibrary = "au.csv"\noffset = 1',
            "expected offset or library",
        ),
        (
            "[1, 1, 0]",
            "[1, 1, 0]\n[microscope]\nvoltage = 300\nsemi_convergence = 24\ndetector = 60",
            "microscope.detector: must be .inner, outer.",
        ),
        (
            "[1, 1, 0]",
            "[1, 1, 0]\n[microscope]\nvoltage = 300\nsemi_convergence = 24\ndetector = [20, 60]",
            "microscope: detector: .* beyond the probe's 24 mrad",
        ),
        (
            "[1, 1, 0]",
            "[1, 1, 0]\n[microscope]\nvoltage = 300\nsemi_convergence = 0.024\ndetector = [0.06, 0.13]",
            "microscope.semi_convergence: expected a number greater than or equal to 1; got 0.024",
        ),
        (
            "[1, 1, 0]",
            "[1, 1, 0]\n[microscope]\nvoltage = 300\nsemi_convergence = 24\ndetector = [60, 130]\n"
            "[counting]\nn_components = 3",
            "expected microscope or counting.n_components",
        ),
        ('"au_110.hspy"', "110", "file: expected the name of a file"),
        ("[1, 1, 0]", '[1, 1, 0]\nbackground = "flat"', "'smooth' or a number; got 'flat'"),
        ("[crystal]", "[crystal", r"line 2: '\[crystal' is not valid TOML .*; expected key = value"),
        ("a = 4.08", "a = 4,08", "line 5: 'a = 4,08' is not valid TOML .* a point in 4.08"),
        (
            '"au_110.hspy"',
            '"C:\\Users\\au.dm4"',
            r"line 8: .*Users.* is not valid TOML .* / in the names of files",
        ),
        (
            '"au_110.hspy"',
            '"my\\new.dm4"',
            r"image\[1\] .*\.file: in double quotes a backslash .*; expected /",
        ),
        ("[crystal]", 'path = "x"\n[crystal]', "unknown key 'path'"),
        ("[[image]]", "[picture]", "unknown key picture; expected one of crystal, image, fit"),
        ("[[image]]", "[image]", "two brackets"),
        ('["Au"]', '"Au"', r'species: expected a list, such as \["Au"\]; got .Au'),
        ("a = 4.08", "a = 0.408", "crystal.a: expected a number greater than 2 A; got 0.408"),
        ("[1, 1, 0]", "[true, 1, 0]", "zone_axis: expected a number, not true or false"),
        ("[1, 1, 0]", "[1, 1, 0]\nbackground = true", "background: expected a number, not true or false"),
        ("[1, 1, 0]", "[1, 1, 0]\n[reconstruction]\nruns = true", "runs: expected a number, not true"),
        ("[1, 1, 0]", "[1, 1, 0]\ndetector = 5", "detector: expected a table with keys .* vacuum"),
        (
            "[1, 1, 0]",
            "[1, 1, 0]\ndetector = { vacuum = true, beam = 2 }",
            "vacuum: expected a number, not true",
        ),
        (
            "[1, 1, 0]",
            "[1, 1, 0]\ndetector = { vacuum = 1, beam = [2] }",
            "beam: expected a number or the name",
        ),
        ("[1, 1, 0]", '[1, 1, 0]\nname = "Stages"', r"image\[1\] .* a file or folder 'stages' of its own"),
        ('"au_110.hspy"', '"figures.tif"', r"image\[1\] \(figures.tif\): .* folder 'figures' of its"),
    ],
)
def test_every_mistake_is_named(project_file, old, new, sentence, gold):
    path = project_file(gold.replace(old, new, 1))
    with pytest.raises(InputError, match=sentence) as caught:
        load_project(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_of_digits_alone_is_a_name(project_file, gold):
    named = '[1, 1, 0]\nsignal = "2"\nname = "110"\ncolumns = "3"'
    (image,) = load_project(project_file(gold.replace("[1, 1, 0]", named))).image
    assert (image.signal, image.name, str(image.columns)) == ("2", "110", "3")


def test_the_default_background_has_a_name(project_file, gold):
    project = load_project(
        project_file(
            gold.replace("[1, 1, 0]", '[1, 1, 0]\nbackground = "automatic"\n[fit]\nbackground = "plane"')
        )
    )
    assert project.fit.background == "plane"
    assert project.fit_of(project.image[0]) == {"background": "automatic"}


def test_files_named_as_on_windows(project_file, tmp_path, gold):
    project = load_project(project_file(gold.replace('"au_110.hspy"', "'my images\\gold ü\\au_110.hspy'")))
    assert project.resolve(project.image[0].file) == tmp_path / "my images" / "gold ü" / "au_110.hspy"
    assert project.image[0].label == "au_110"


@pytest.mark.parametrize("name", ["au_110", "AU_110"])
def test_two_images_of_one_name(project_file, gold, name):
    twice = f'\n[[image]]\nfile = "other/{name}.hspy"\nzone_axis = [1, 0, 0]\n'
    with pytest.raises(InputError, match="two images are called 'au_110'"):
        load_project(project_file(gold + twice))


def test_an_image_that_is_listed_twice(project_file, gold):
    again = '\n[[image]]\nfile = "au_110.hspy"\nzone_axis = [1, 0, 0]\n'
    with pytest.raises(InputError, match=r"image: au_110\.hspy is given twice; expected each image once"):
        load_project(project_file(gold + again))
    two_detectors = again + 'signal = "DF4"\n'
    with pytest.raises(InputError, match="two images are called 'au_110'"):
        load_project(project_file(gold + two_detectors))


@pytest.mark.parametrize("section", ["crystal", "image"])
def test_a_section_that_is_missing(project_file, gold, section):
    crystal, image = gold.split("[[image]]")
    with pytest.raises(InputError, match=rf"\[{section}\]+[, ].*(file|species)"):
        load_project(project_file(crystal if section == "image" else "[[image]]" + image))


def test_texts_as_editors_save_them(tmp_path, gold):
    path = tmp_path / "particle.toml"
    path.write_text(gold.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    assert load_project(path).image[0].zone_axis == (1, 1, 0)
    path.write_text(gold, encoding="utf-16")
    with pytest.raises(InputError, match="not a text in UTF-8; expected a TOML file"):
        load_project(path)


def test_missing_project(tmp_path):
    with pytest.raises(InputError, match="no such project file"):
        load_project(tmp_path / "nothing.toml")


def test_two_images_of_one_zone_axis_are_told_with_their_names(tmp_path):
    text = '[crystal]\nstructure = "fcc"\nspecies = ["Au"]\na = 4.08\n'
    for name, axis in (("a", [1, 1, 0]), ("b", [0, 0, 1]), ("c", [-2, -2, 0])):
        text += f'[[image]]\nfile = "{name}.hspy"\nzone_axis = {axis}\n'
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(InputError, match=r"'a' and 'c' are both along \[1, 1, 0\]"):
        load_project(tmp_path / "p.toml")
    (tmp_path / "p.toml").write_text(text.replace("[-2, -2, 0]", '"110"'))
    with pytest.raises(InputError, match=r"zone_axis: must be three integers"):
        load_project(tmp_path / "p.toml")

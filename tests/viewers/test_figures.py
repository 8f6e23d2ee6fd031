"""Figures hold what they promise: looked at through their pixels and their artists."""

import dataclasses
import threading

import matplotlib
import numpy as np
import pytest

import stemcount
import tomo
import viewers
from viewers.columns import column_layer_data, flag_layer_data, image_layer_data
from viewers.histogram_figures import class_shares
from viewers.style import count_colours, round_length, short_name


def pixels(figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(float)


def texts_inside(figure) -> bool:
    """No label is cut off at the figure's edge."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    for text in figure.findobj(matplotlib.text.Text):
        if text.get_visible() and text.get_text() and not text.get_clip_on():
            box = text.get_window_extent(renderer)
            if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1:
                axes = text.axes
                if axes is not None and text not in (axes.title, axes._left_title, axes.xaxis.label):
                    continue  # ticks beyond an axis' limits are never drawn
                return False
    return True


@pytest.fixture(scope="module")
def settings_before():
    return dict(matplotlib.rcParams)


@pytest.fixture(scope="module")
def figures(settings_before, columns, result):
    """Every figure, drawn once."""
    return {
        "fit": viewers.figure_fit(columns.image, columns.fit),
        "histogram": viewers.figure_histogram(columns.fit, columns.counts, unit="Å²"),
        "counts": viewers.figure_counts(columns.image, columns.fit, columns.counts),
        "reprojections": viewers.figure_reprojections(result),
        "plane_sums": viewers.figure_plane_sums(result),
        "atoms": viewers.figure_atoms(result),
        "certainty": viewers.figure_certainty(result),
    }


NAMES = ("fit", "histogram", "counts", "reprojections", "plane_sums", "atoms", "certainty")


@pytest.mark.parametrize("name", NAMES)
def test_figure_has_ink_and_no_label_is_cut(name, figures):
    picture = pixels(figures[name])
    assert (picture.min(axis=2) < 250).mean() > 0.03
    assert texts_inside(figures[name])


@pytest.mark.parametrize("name", ["fit", "counts", "reprojections", "atoms"])
def test_figures_with_colours_say_what_they_mean(name, figures):
    bars = [axes for axes in figures[name].axes if axes.get_label() == "<colorbar>"]
    assert bars
    assert all(bar.get_ylabel() for bar in bars)


def test_figures_leave_pyplot_and_settings_alone(settings_before, figures):
    assert dict(matplotlib.rcParams) == settings_before
    from matplotlib import _pylab_helpers

    assert not _pylab_helpers.Gcf.figs


def test_residual_is_symmetric_about_white(figures):
    norm = figures["fit"].axes[2].images[0].norm
    assert norm.vmin == -norm.vmax


def test_residual_of_a_masked_image_is_that_of_its_valid_pixels(columns):
    from viewers.column_figures import residual_image

    valid = np.ones(columns.image.data.shape, bool)
    valid[:20] = False
    spoilt = np.where(valid, columns.image.data, 1e3)
    image = dataclasses.replace(columns.image, data=spoilt, valid=valid)
    residual, limit = residual_image(image, columns.model)
    assert (residual[~valid] == 0).all()
    np.testing.assert_array_equal(residual[valid], (columns.image.data - columns.model)[valid])
    assert limit == np.percentile(np.abs(residual[valid]), 99.5)


def test_number_on_every_column(figures, columns):
    written = sorted(int(t.get_text()) for t in figures["counts"].axes[0].texts if t.get_text().isdigit())
    assert written == sorted(columns.counts.count.tolist())


def test_an_offset_of_the_detector_changes_no_picture(figures, columns):
    """White was once a share of the brightest level: below the darkest one where the offset is large."""
    image = columns.image
    data = image.data / image.data.max()
    pictures = [
        pixels(viewers.figure_counts(dataclasses.replace(image, data=level), columns.fit, columns.counts))
        for level in (data, 64 + data, data - 64)
    ]
    np.testing.assert_allclose(pictures[1], pictures[0], atol=1)
    np.testing.assert_allclose(pictures[2], pictures[0], atol=1)


def test_counts_that_do_not_occur_are_left_out(columns):
    thick = dataclasses.replace(columns.counts, count=np.maximum(columns.counts.count, 4))
    figure = viewers.figure_histogram(columns.fit, thick)
    written = [int(text.get_text()) for text in figure.axes[0].texts]
    assert min(written) >= thick.count.min()
    bar = next(
        a
        for a in viewers.figure_counts(columns.image, columns.fit, thick).axes
        if a.get_ylabel() == "atoms in the column"
    )
    assert bar.get_ylim()[0] == thick.count.min() - 0.5


def test_classes_are_drawn_as_large_as_they_are(columns):
    """The weights of a reading are a prior, and may be smooth over classes that no column belongs to."""
    counts = columns.counts
    even = dataclasses.replace(counts.chosen, weight=np.full(len(counts.chosen.weight), 0.1))
    shares = class_shares(dataclasses.replace(counts, chosen=even))
    true = np.bincount(counts.count, minlength=len(shares)) / len(counts.count)
    np.testing.assert_allclose(shares, true, atol=0.05)


def test_classes_are_seen_in_the_histogram(figures, columns):
    """About four bins to one more atom, and class means only of classes that columns are in."""
    histogram, _, means = figures["histogram"].axes
    steps = np.diff(columns.counts.chosen.mean[1 : columns.counts.count.max() + 1])
    assert histogram.patches[0].get_width() == pytest.approx(np.median(steps) / 4, rel=0.1)
    drawn = next(line for line in means.lines if line.get_marker() == "o")
    assert len(drawn.get_xdata()) == columns.counts.count.max() + 1


def test_chosen_order_is_marked(columns):
    figure = viewers.figure_histogram(columns.fit.cross_section, columns.counts)
    legend = " ".join(t.get_text() for t in figure.axes[1].get_legend().get_texts())
    assert f"chosen: {columns.counts.n_components}" in legend


def test_reprojection_of_the_truth_differs_where_the_counts_are_wrong(result):
    figure = viewers.figure_reprojections(result, threshold=0.0)
    for row, view in enumerate(result.views):
        title = figure.axes[3 * row + 2].get_title(loc="left")
        true = tomo.reproject(result.sites, view)
        assert f"{np.sum(true == view.counts)} of {len(true)} equal" in title


def test_totals_of_large_crystals_fit_over_the_planes(result):
    views = tuple(
        tomo.View(view.zone_axis, view.column_sites, counts=np.full(len(view.column_sites), 12345))
        for view in result.views
    )
    figure = viewers.figure_plane_sums(dataclasses.replace(result, views=views))
    assert texts_inside(figure)
    for axes in figure.axes:  # nor do they reach into the next panel
        assert axes.title.get_window_extent().x1 <= axes.bbox.x1 + 5
        assert axes._left_title.get_window_extent().x1 <= axes.bbox.x1 + 5


def test_planes_that_an_image_does_not_show_whole_are_not_compared(result):
    first = result.views[0]
    counts = np.where(first.column_sites[:, 1] < 0, -1, first.counts)
    cut = tomo.View(first.zone_axis, first.column_sites, counts=counts)
    seen = dataclasses.replace(result, views=(cut, result.views[1]))
    _, (pair,) = seen.agreement()
    sums, differences = viewers.figure_plane_sums(seen).axes
    assert 0 < pair.complete.sum() < len(pair.plane)
    assert len(differences.containers[0]) == pair.complete.sum()
    assert "not seen whole" in [text.get_text() for text in sums.get_legend().get_texts()]


def test_each_pair_of_views_has_its_own_planes(result):
    """Of three pairs above each other none has the range of another, and all have their numbers below."""
    axes = [(0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 2)]
    views = tuple(tomo.phantoms.views_of(result.sites, axes))
    figure = viewers.figure_plane_sums(dataclasses.replace(result, views=views))
    _, pairs = dataclasses.replace(result, views=views).agreement()
    columns = [panels for panels in figure.axes if panels.get_visible()]
    sums = [panel for panel in columns if panel.get_ylabel() == "atoms in plane"]
    differences = [panel for panel in columns if panel.get_ylabel() == "difference"]
    assert len(sums) == len(differences) == len(pairs) == 6
    figure.canvas.draw()
    for above, below, pair in zip(sums, differences, pairs, strict=True):
        assert above.get_xlim() == below.get_xlim()
        assert np.ptp(below.get_xlim()) < 1.15 * np.ptp(pair.plane) + 1
        assert all(label.get_visible() for label in below.get_xticklabels())
        assert not any(label.get_visible() for label in above.get_xticklabels())


def test_colours_of_many_columns_are_not_hidden_by_their_outlines(result):
    """Two thirds of a crowded view's ink have a colour of the map, though its discs are tiny."""
    n = 60
    sites = np.array([(h, k, (h + k) % 2) for h in range(-n, n) for k in range(-n, n)])
    view = tomo.View((0, 0, 1), sites, counts=np.full(len(sites), 7))
    many = dataclasses.replace(result, sites=sites, certainty=np.ones(len(sites)), runs=result.runs[:0])
    figure = viewers.figure_reprojections(dataclasses.replace(many, views=(view,)))
    picture = pixels(figure)
    box = figure.axes[0].get_window_extent()
    panel = picture[::-1][int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
    ink = panel[panel.min(axis=2) < 200]
    assert np.mean(np.ptp(ink, axis=1) > 60) > 0.66


def test_no_atom_is_more_certain_than_the_most_certain(result):
    low = dataclasses.replace(result, certainty=0.7 * result.certainty)
    curve = viewers.figure_certainty(low).axes[1].lines[0]
    assert (curve.get_xdata()[-1], curve.get_ydata()[-1]) == (1.0, 0.0)
    beyond = curve.get_xdata() > 0.7
    assert (curve.get_ydata()[beyond] == 0).all()


def test_figures_of_several_species_say_which_is_counted(core_shell_result):
    number = len(core_shell_result.occupied())
    title = viewers.figure_atoms(core_shell_result).axes[0].get_title(loc="left")
    assert title == f"{number} Pb atoms, oblique"
    assert (
        viewers.figure_certainty(core_shell_result).axes[0].get_title(loc="left").startswith(f"{number} Pb")
    )


def test_no_plane_sums_from_one_view(result):
    figure = viewers.figure_plane_sums(dataclasses.replace(result, views=result.views[:1]))
    assert "no shared planes" in figure.texts[0].get_text()


def test_soft_and_unknown_counts_are_drawn(result):
    import tomo

    view = result.views[0]
    likelihood = -((np.arange(12) - view.counts[:, None]) ** 2.0)
    likelihood[3] = 0.0  # says nothing
    soft = tomo.View(zone_axis=view.zone_axis, column_sites=view.column_sites, log_likelihood=likelihood)
    figure = viewers.figure_reprojections(dataclasses.replace(result, views=(soft,)))
    assert f"of {len(view.counts) - 1} equal" in figure.axes[2].get_title(loc="left")


def test_empty_and_single_atom_results(result):
    one = dataclasses.replace(
        result,
        sites=np.zeros((1, 3), np.int32),
        certainty=np.ones(1),
        runs=np.ones((2, 1), bool),
        crystal=None,
    )
    for make in (viewers.figure_atoms, viewers.figure_certainty, viewers.figure_reprojections):
        assert (pixels(make(one)).min(axis=2) < 250).any()
    nothing = dataclasses.replace(one, certainty=np.zeros(1), runs=np.zeros((2, 1), bool))
    for make in (viewers.figure_atoms, viewers.figure_certainty, viewers.figure_reprojections):
        pixels(make(nothing))


def test_figures_can_be_made_in_threads(result):
    failures: list = []

    def work() -> None:
        try:
            pixels(viewers.figure_certainty(result))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_figure_takes_a_hyperspy_signal(columns):
    signal = stemcount.image_signal(columns.image)
    drawn = viewers.figure_fit(signal, columns.fit)
    np.testing.assert_array_equal(pixels(drawn), pixels(viewers.figure_fit(columns.image, columns.fit)))


def test_one_sentence_for_what_cannot_be_drawn(columns, result):
    image, fit, counts = columns.image, columns.fit, columns.counts
    others = stemcount.counts_from_hypothesis(fit.cross_section[:5], counts.chosen)
    for draw, message in (
        (lambda: viewers.figure_counts(image, fit, others), "counts: expected those of the"),
        (lambda: viewers.figure_histogram(fit, others), "counts: expected those of the"),
        (lambda: viewers.figure_atoms(result, directions=[]), "directions: expected at least one"),
        (lambda: viewers.figure_species(None), "expected a tomo.Reconstruction"),
    ):
        with pytest.raises(stemcount.InputError, match=message):
            draw()
    assert viewers.figure_histogram(fit.cross_section.tolist(), counts).axes


def test_doubt_is_about_the_count_that_is_given(columns):
    """Not about the most probable number of atoms over all readings, which may be another."""
    given, every = columns.counts.count, np.arange(len(columns.counts.count))
    probability = np.zeros_like(columns.counts.probability)
    probability[every, given] = 0.2
    probability[every, np.where(given > 1, given - 1, given + 1)] = 0.8
    counts = dataclasses.replace(columns.counts, probability=probability)
    _, rings, _ = flag_layer_data(columns.fit, counts)
    assert all(
        f"P({count}) = 0.20" in reason
        for count, reason in zip(given, rings["features"]["reason"], strict=True)
    )
    _, discs, _ = column_layer_data(columns.fit, counts)
    assert discs["features"]["doubt"] == pytest.approx(0.8)
    figure = viewers.figure_counts(columns.image, columns.fit, counts)
    assert f"{len(given)} doubtful" in figure.axes[0].get_title(loc="left")


LONG = "20240312_1445_AuNR_HAADF_camera115mm_300kV_[110]_drift_corrected_average"


def test_pixels_that_are_not_valid_do_not_darken_the_others(columns):
    data, valid = columns.image.data.copy(), np.ones(columns.image.data.shape, bool)
    data[:3, :3], valid[:3, :3] = 1e4, False
    masked = dataclasses.replace(columns.image, data=data, valid=valid)
    for picture in (viewers.figure_fit(masked, columns.fit), viewers.figure_fit(columns.image, columns.fit)):
        white = picture.axes[0].images[0].norm.vmax
        assert white == pytest.approx(np.percentile(columns.image.data, 99.9), rel=0.02)
    assert image_layer_data(masked)[1]["contrast_limits"][1] < 1


def test_a_certainty_has_the_same_colour_everywhere(result, figures):
    """Of a colour bar the ends are 0 and 1, whatever is drawn."""
    for figure in (figures["atoms"], viewers.figure_atoms(result, threshold=0.9)):
        bar = figure.axes[-1]
        assert bar.get_ylim() == (0.0, 1.0)


def test_long_file_names_do_not_run_into_each_other(result, columns):
    long = dataclasses.replace(
        result, views=tuple(dataclasses.replace(view, name=LONG) for view in result.views)
    )
    figure = viewers.figure_reprojections(long)
    figure.canvas.draw()
    titles = [axes._left_title.get_window_extent() for axes in figure.axes[:3]]
    assert titles[0].x1 < titles[2].x0  # the line below it stands beside the second
    image = dataclasses.replace(columns.image, name=LONG)
    assert texts_inside(viewers.figure_counts(image, columns.fit, columns.counts))
    assert texts_inside(viewers.figure_plane_sums(long))
    assert short_name(LONG).endswith("average")


def test_a_single_count_has_a_colour_and_no_width_a_scale_bar():
    colours, norm = count_colours(3, 3)
    assert len({tuple(colour) for colour in colours(norm([3.0, 3.0]))}) == 1
    assert round_length(0.0) == 1.0

"""Counting against known answers, the published results and scikit-learn: one table a question.

    python benchmarks/counting.py [ptir] [wedge] [noise] [series] [sklearn] [library] [views] [order]
        [--seeds 8] [--particles 10 11]

Figures are shares of columns or images, and CPU seconds of one core. The random particles have curves
V(k), widths and thickness distributions that `stemcount` is not told.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
from common import DATA, NO_DATA, true_counts

import stemcount
import tomo
from stemcount.cli.all_views.views import read_together
from stemcount.counting.count import ALIKE, MANY_COLUMNS
from tomo.phantoms import column_counts, random_particle

GOLD = tomo.fcc("Au", a=4.08)
AXES = {"100": (2, 0, 0), "110": (1, 1, 0), "111": (2, 2, 2)}


def thicknesses(rng: np.random.Generator) -> np.ndarray:
    """Atoms per column of a random sphere, truncated octahedron, rod or wedge of fcc along an axis."""
    span = np.arange(-22, 23)
    grid = np.stack(np.meshgrid(span, span, span, indexing="ij"), -1).reshape(-1, 3)
    grid = grid[grid.sum(axis=1) % 2 == 0]
    x, y, z = (grid + rng.uniform(-0.5, 0.5, 3)).T
    size = rng.uniform(4, 16)
    kind = rng.choice(["sphere", "octahedron", "rod", "wedge"])
    if kind == "sphere":
        keep = x**2 + y**2 + z**2 < size**2
    elif kind == "octahedron":
        cut = 1.5 * size * rng.uniform(0.6, 0.8)
        keep = (abs(x) + abs(y) + abs(z) < 1.5 * size) & (np.max(np.abs([x, y, z]), axis=0) < cut)
    elif kind == "rod":
        keep = (x**2 + y**2 < (0.6 * size) ** 2) & (abs(z) < 1.6 * size)
    else:
        keep = (abs(x) < size) & (abs(y) < 1.2 * size) & (z > -size)
        keep &= z < -size + (x + size) * rng.uniform(0.6, 1.1)
    sites, axis = grid[keep], np.array(AXES[str(rng.choice(list(AXES)))])
    along = np.flatnonzero(axis)[0]
    feet = sites - np.floor_divide(sites[:, along], axis[along])[:, None] * axis
    return np.unique(feet, axis=0, return_counts=True)[1]


def class_means(kmax: int, rng: np.random.Generator) -> np.ndarray:
    """V(1..kmax): a straight line, a power law, or increments that rise, fade and wander."""
    k = np.arange(1, kmax + 1)
    kind = rng.choice(["line", "power", "channelling", "channelling"])
    if kind == "line":
        step = np.ones(kmax)
    elif kind == "power":
        step = np.diff(np.arange(kmax + 1) ** rng.uniform(0.85, 1.2))
    else:
        step = 1 - rng.uniform(0, 0.45) * np.exp(-(((k - 1) / rng.uniform(1, 2.5)) ** 2))
        step = step * np.exp(-k / rng.uniform(20, 80))
        wave = np.sin(2 * np.pi * k / rng.uniform(7, 14) + rng.uniform(0, 2 * np.pi))
        step = step * (1 + rng.uniform(0, 0.2) * wave * np.exp(-k / rng.uniform(10, 40)))
    return np.cumsum(step) * 10 ** rng.uniform(-3, 4)


def random_columns(
    rng: np.random.Generator, fewest: int, most: int, thickest: int, ratio: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Cross-sections, true counts, and the share right when means, widths and weights are known."""
    return random_columns_and_means(rng, fewest, most, thickest, ratio)[:3]


def random_columns_and_means(
    rng: np.random.Generator, fewest: int, most: int, thickest: int, ratio: float
) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """As `random_columns`, with the class means beside."""
    while True:
        count = thicknesses(rng)
        if rng.random() < 0.15:
            count = count[count >= rng.integers(2, 4)]
        common = np.bincount(count) > 0.03 * len(count) if len(count) else np.zeros(1, bool)
        if fewest <= len(count) <= most and count.max() <= thickest and common.sum() >= 5:
            break
    mean = class_means(int(count.max()), rng)
    law = (mean / mean[-1]) ** rng.choice([0.0, 0.5, 1.0])
    width = ratio * law / np.mean((law / np.diff(mean, prepend=0))[count - 1])
    return *scattered(rng, count, mean, width), mean


def scattered(
    rng: np.random.Generator, count: np.ndarray, mean: np.ndarray, width: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Cross-sections about the means (k,) of their classes, the counts, and what `random_columns` says."""
    value = mean[count - 1] + width[count - 1] * rng.standard_normal(len(count))
    weight = np.bincount(count, minlength=len(mean) + 1)[1:] / len(count)
    score = -0.5 * ((value[:, None] - mean) / width) ** 2 - np.log(width) + np.log(weight + 1e-12)
    return value, count, float(np.mean(1 + np.argmax(score, axis=1) == count))


def order_table(seeds: int) -> None:
    """Right readings against plain global ICL, and calibration where a verdict is given.

    Beside what is found stands what the stated probabilities lead to expect: the number of wrong
    verdicts, and the standard deviation of p - hit. What is within that can be chance.
    """
    print("\nOrder of random particles (right: exact counts within 5 points of all-known)")
    print("columns     width/spacing  right  in first 10  order exact  plain ICL  decided  wrong, expected"
          "  p - hit decided, expected  p - hit all  CPU s  ln P(true)")  # fmt: skip
    sums = np.zeros(3)  # verdicts, wrong ones, as many expected
    for fewest, most, thickest in ((90, 190, 12), (200, 1000, 25), (1000, 3000, 35)):
        for ratio in (0.15, 0.25, 0.35):
            rows = []
            for seed in range(seeds):
                rng = np.random.default_rng([seed, fewest, int(100 * ratio)])
                value, count, ceiling = random_columns(rng, fewest, most, thickest, ratio)
                start = time.process_time()
                found = stemcount.count_atoms(value)
                rows.append((*_judged(value, count, ceiling, found), time.process_time() - start))
            table = np.array(rows, dtype=float)
            share = table.mean(axis=0)
            decided = table[table[:, 4] > 0]
            right, stated, doubt, spread = decided[:, [0, 5, 7, 8]].T
            verdicts = f"{np.sum(right == 0):.0f}, {doubt.sum():.2f}" if len(decided) else "-"
            error = (
                f"{stated.mean():+.3f}, {np.hypot.reduce(spread) / len(decided):.3f}" if len(decided) else "-"
            )
            sums += len(decided), np.sum(right == 0), doubt.sum()
            print(f"{fewest:5d}-{most:<5d} {ratio:11.2f} {share[0]:9.2f} {share[1]:10.2f} {share[2]:12.2f}"
                  f" {share[3]:11.2f} {share[4]:9.2f} {verdicts:>15s} {error:>24s} {share[5]:+15.3f}"
                  f" {share[9]:9.1f} {share[6]:9.2f}", flush=True)  # fmt: skip
    print(f"decided {sums[0]:.0f}, of these wrong {sums[1]:.0f}, expected {sums[2]:.2f}")


def _judged(
    value: np.ndarray, count: np.ndarray, ceiling: float, found: stemcount.AtomCounts
) -> tuple[float, ...]:
    """One image: right, among the first ten, order exact, plain ICL exact, decided, p - hit, ln P(true),
    and as the posterior over the readings has it: probability that the choice is wrong, sd of the hits."""
    posterior = np.exp([r.log_posterior - found.alternatives[0].log_posterior for r in found.alternatives])
    posterior /= posterior.sum()
    each = [stemcount.counts_from_hypothesis(value, reading) for reading in found.alternatives]
    exact = [np.mean(counts.count == count) for counts in each]
    alike = np.array([np.mean(counts.count == found.count) for counts in each]) >= ALIKE
    hits = np.array([_probability(counts, found.count).mean() for counts in each])
    p = _probability(found, found.count)
    spread = posterior @ (hits - posterior @ hits) ** 2 + np.mean(p * (1 - p)) / len(p)
    hit = np.mean(found.count == count)
    return (
        hit >= ceiling - 0.05,
        max(exact[:10]) >= ceiling - 0.05,
        (found.offset + 1, found.offset + found.n_components) == (count.min(), count.max()),
        1 + np.argmin(found.icl) == len(np.unique(count)),
        found.verdict == "decided",
        p.mean() - hit,
        true_score(found, count).mean(),
        1 - posterior[alike].sum(),
        np.sqrt(spread),
    )


def ptir_table() -> None:
    """The published mixtures of an experimental Pt/Ir particle."""
    data = np.load(DATA / "ptir.npz")
    values = data["ref_volumes"]
    start = time.process_time()
    mixtures = stemcount.fit_mixtures(values, 20)
    seconds = time.process_time() - start
    gain = data["ref_negLogLik"] - [m.negative_log_likelihood for m in mixtures]
    counts = stemcount.count_atoms(values, n_components=10)
    print("\nPt/Ir: published cross-sections")
    print(
        f"log-likelihood above the published one, orders 1-20: least {gain.min():.6f}, most {gain.max():.3f}"
    )
    print(f"ICL at 1 and 10: {mixtures[0].icl:.2f} {mixtures[9].icl:.2f} (published"
          f" {data['ref_ICL'][0]:.2f} {data['ref_ICL'][9]:.2f}); {seconds:.2f} CPU s")  # fmt: skip
    print(f"counts equal at 10 components: {np.sum(counts.count == data['ref_counts'])} of {len(values)},"
          f" total {counts.count.sum()} (published {data['ref_total']})")  # fmt: skip
    free = stemcount.count_atoms(values)
    print(f"no order given: {free.offset + 1} to {free.offset + free.n_components} atoms, {free.verdict}")


def library_table(seeds: int) -> None:
    """Libraries whose scale is off by 15 % (standard deviation), taken as they are and up to a factor."""
    print("\nLibrary off by 15 % in scale, 90-300 columns (right: exact counts within 5 points of all-known)")
    print("width/spacing  right: as it is  up to a factor  no library  decided (factor)  of these right")
    for ratio in (0.2, 0.3):
        rows = []
        for seed in range(seeds):
            rng = np.random.default_rng([seed, 77, int(100 * ratio)])
            value, count, ceiling, mean = random_columns_and_means(rng, 90, 300, 20, ratio)
            library = (
                mean * np.exp(rng.normal(0, 0.15)) * (1 + 0.004 * rng.standard_normal(len(mean)).cumsum())
            )
            found = [
                stemcount.count_atoms(value, library=library),
                stemcount.count_atoms(value, library=library, library_scale="free"),
                stemcount.count_atoms(value),
            ]
            right = [np.mean(counts.count == count) >= ceiling - 0.05 for counts in found]
            rows.append((*right, found[1].verdict == "decided"))
        table = np.array(rows, dtype=float)
        decided = table[table[:, 3] > 0]
        of_these = f"{decided[:, 1].mean():.2f}" if len(decided) else "-"
        share = table.mean(axis=0)
        print(f"{ratio:13.2f} {share[0]:16.2f} {share[1]:15.2f} {share[2]:11.2f} {share[3]:17.2f}"
              f" {of_these:>15s}", flush=True)  # fmt: skip


THREE, TWO, SQUARE = ((0, 0, 1), (1, 0, 0), (1, 1, 0)), ((1, 0, 0), (1, 1, 0)), ((1, 0, 0), (0, 1, 0))
THICK = (
    (THREE, 700, "rough", 0.3), (THREE, 6000, "rough", 0.3), (THREE, 25000, "stepped", 0.4),
    (TWO, 700, "rough", 0.3), (TWO, 6000, "rough", 0.3), (TWO, 25000, "stepped", 0.4),
    (TWO, 25000, "rod", 0.5), (SQUARE, 6000, "rough", 0.3), (SQUARE, 25000, "stepped", 0.4),
)  # fmt: skip


def views_table(seeds: list[int]) -> None:
    """Thick particles in several views whose classes overlap: what the views settle together.

    Particles of more than a thousand columns are counted with what neighbouring columns tell and without.
    """
    print("\nThick random particles counted in several views together (width in steps between classes)")
    print("views        atoms  kind     width  seed neighbours thickest  right alone     right together"
          "  error of totals, %  stated, %  verdicts")  # fmt: skip
    cases = [(seed, *case, told) for seed in seeds for case in THICK for told in (False, True)]
    for seed, axes, n_atoms, kind, width, told in cases:
        sites = random_particle(n_atoms, kind, seed)
        rng = np.random.default_rng(seed)
        seen = [thick_view(sites, axis, width, rng, told) for axis in axes]
        fits, counts, indexings, extents, truth = zip(*seen, strict=True)
        if told and max(len(n) for n in truth) < MANY_COLUMNS:
            continue  # nothing is told
        joint = read_together(fits, counts, indexings, extents)
        alone, together = (
            " ".join(f"{np.mean(c.count == n):.2f}" for c, n in zip(of, truth, strict=True))
            for of in (counts, joint.counts)
        )
        error = " ".join(
            f"{100 * (c.count.sum() / n.sum() - 1):+.1f}" for c, n in zip(joint.counts, truth, strict=True)
        )
        stated = " ".join(f"{100 * e / t:.0f}" for t, e in joint.readings.totals)
        names = " ".join("".join(map(str, axis)) for axis in axes)
        verdicts = " ".join(c.verdict for c in joint.counts)
        print(f"{names:11s} {n_atoms:6d}  {kind:8s} {width:5.1f} {seed:5d} {'told' if told else '-':10s}"
              f" {max(n.max() for n in truth):8d}  {alone:14s}  {together:14s}  {error:18s}  {stated:9s}"
              f"  {verdicts}", flush=True)  # fmt: skip


def thick_view(
    sites: np.ndarray, axis: tuple[int, int, int], width: float, rng: np.random.Generator, told: bool
) -> tuple[Any, ...]:
    """Columns of one view with a curved V(k): fit, counts, indexing, extent of the image, true counts."""
    columns, atoms = column_counts(sites, axis)
    k = np.arange(atoms.max() + 1)
    steps = (1 - 0.25 * np.exp(-((k / 2) ** 2))) * np.exp(-k / rng.uniform(60, 150))
    mean = np.concatenate([[0.0], np.cumsum(steps[:-1])])
    spread = width * np.sqrt(0.5 + 0.5 * mean[atoms] / mean[-1])
    value = mean[atoms] + spread * rng.standard_normal(len(atoms))
    seen = value > 0.2
    columns, atoms, value = columns[seen], atoms[seen], value[seen]
    zone = tomo.zone_geometry(axis)
    places = zone.positions(zone.lines(columns), GOLD.a) + rng.normal(0, 0.03, (len(atoms), 2))
    fit = SimpleNamespace(
        cross_section=value,
        noise_std=np.full(len(value), 0.3 * width),
        flags=np.zeros(len(value), dtype=int),
        width=0.5,
    )
    extent = (
        places[:, 0].min() - 30,
        places[:, 0].max() + 30,
        places[:, 1].min() - 30,
        places[:, 1].max() + 30,
    )
    counts = stemcount.count_atoms(value, cross_section_std=fit.noise_std, positions=places if told else None)
    return fit, counts, tomo.index_columns(places[:, 0], places[:, 1], axis, GOLD), extent, atoms


def wedge_table() -> None:
    """Fit and count of a thick wedge, no order given, against nearest class means of cell integration."""
    print("\nAu wedge [110], own fit, no order given (ceiling: nearest true class mean, cell integration)")
    print(
        "dose    seed  columns  highest  exact  ceiling  within 1  ln P(true): this, plain of 15,"
        " of least ICL  verdict"
    )
    with h5py.File(DATA / "au_wedge_110.h5") as file:
        group = file["zone_110"]
        position, count = group["column_xy_px"][:] * 0.2, group["count_Au"][:]
        for dose, ceiling in (("5e3", 0.78), ("2e4", 0.88), ("1e5", 0.91)):
            for seed in (0, 1):
                image = stemcount.ZoneAxisImage(group[f"image_dose{dose}_seed{seed}"][:], 0.2)
                fit = stemcount.fit_columns(image, stemcount.find_columns(image))
                truth, real = true_counts(fit, position, count)
                found = stemcount.count_atoms(fit.cross_section, cross_section_std=fit.noise_std)
                plain, least = (
                    stemcount.count_atoms(fit.cross_section, n_components=n)
                    for n in (15, int(np.argmin(found.icl)) + 1)
                )
                wrong = np.abs(found.count - truth)[real]
                scores = [true_score(counts, truth)[real].mean() for counts in (found, plain, least)]
                print(f"{dose}  {seed:5d} {len(fit):8d} {found.offset + found.n_components:8d}"
                      f" {np.mean(wrong == 0):6.2f} {ceiling:8.2f} {np.mean(wrong <= 1):9.2f}"
                      f" {scores[0]:12.2f} {scores[1]:10.2f} {scores[2]:10.2f} {found.verdict:>18s}",
                      flush=True)  # fmt: skip


def noise_table(seeds: int) -> None:
    """The wedge under fresh noise: of nearly tied readings one or two images take any, many tell the mean.

    Beside the share of exact counts of the chosen reading stands its mean over all readings, weighed by their
    probability: it does not jump where the choice does.
    """
    print(f"\nAu wedge [110], {seeds} images of fresh Poisson noise a dose, own fit, no order given")
    print("dose   exact (standard error)  least   mean over readings  within 1  ln P(true)  stated - exact")
    for dose in (5e3, 2e4, 1e5):
        rows = []
        for fit, truth in noisy_wedges(dose, seeds):
            found = stemcount.count_atoms(fit.cross_section, cross_section_std=fit.noise_std)
            readings = found.alternatives
            posterior = np.exp([r.log_posterior - readings[0].log_posterior for r in readings])
            exact_of = [
                np.mean(stemcount.counts_from_hypothesis(
                    fit.cross_section, reading, cross_section_std=fit.noise_std).count == truth)
                for reading in readings
            ]  # fmt: skip
            wrong = np.abs(found.count - truth)
            exact = np.mean(wrong == 0)
            stated = _probability(found, found.count).mean()
            rows.append((exact, posterior @ exact_of / posterior.sum(), np.mean(wrong <= 1),
                         true_score(found, truth).mean(), stated - exact))  # fmt: skip
        table = np.array(rows)
        mean, error = table.mean(axis=0), table[:, 0].std() / np.sqrt(max(seeds - 1, 1))
        print(f"{dose:.0e} {mean[0]:7.3f} ({error:.3f}) {table[:, 0].min():14.2f} {mean[1]:20.3f}"
              f" {mean[2]:9.2f} {mean[3]:11.2f} {mean[4]:+15.3f}", flush=True)  # fmt: skip


def noisy_wedges(dose: float, images: int) -> Iterator[tuple[stemcount.ColumnFit, np.ndarray]]:
    """Own fits of the wedge under fresh Poisson noise [1/A^2], and the true counts of their columns."""
    with h5py.File(DATA / "au_wedge_110.h5") as file:
        group = file["zone_110"]
        position, count = group["column_xy_px"][:] * 0.2, group["count_Au"][:]
        electrons = group["image_inf"][:] * 0.2**2  # per pixel and unit of dose
    for seed in range(images):
        rng = np.random.default_rng([seed, int(dose)])
        image = stemcount.ZoneAxisImage(rng.poisson(dose * electrons) / (dose * 0.2**2), 0.2)
        fit = stemcount.fit_columns(image, stemcount.find_columns(image))
        yield fit, true_counts(fit, position, count)[0]


def true_score(counts: stemcount.AtomCounts, truth: np.ndarray) -> np.ndarray:
    """ln P(true count | V) of every column, counts beyond the table included as 1e-6."""
    return np.log(np.maximum(_probability(counts, truth), 1e-6))


def _probability(counts: stemcount.AtomCounts, of: np.ndarray) -> np.ndarray:
    """P(k | V) of one count k a column."""
    table = np.pad(counts.probability, ((0, 0), (0, 40)))
    return table[np.arange(len(of)), of]


def sklearn_table() -> None:
    """Speed and likelihood of the plain mixtures against scikit-learn."""
    from sklearn.mixture import GaussianMixture

    print("\nscikit-learn GaussianMixture(tied, 10 restarts), 2,000 values, orders 1-40")
    print("classes  width  this CPU s  sklearn CPU s  times faster  least gain in log-likelihood")
    stemcount.fit_mixtures(np.arange(5.0), 2)
    for seed, (classes, width) in enumerate(((25, 0.25), (14, 0.2))):
        rng = np.random.default_rng(seed)
        values = rng.integers(1, classes + 1, 2000) + width * rng.standard_normal(2000)
        start = time.process_time()
        ours = [m.negative_log_likelihood for m in stemcount.fit_mixtures(values, 40)]
        middle = time.process_time()
        theirs: list[Any] = []
        for k in range(1, 41):
            model = GaussianMixture(k, covariance_type="tied", n_init=10, random_state=0)
            theirs.append(-2000 * model.fit(values[:, None]).score(values[:, None]))
        end = time.process_time()
        gain = np.min(np.array(theirs) - ours)
        print(f"{classes:7d} {width:6.2f} {middle - start:11.2f} {end - middle:14.2f}"
              f" {(end - middle) / (middle - start):13.1f} {gain:14.6f}", flush=True)  # fmt: skip


def series_table() -> None:
    """Hidden Markov model over frames against frame-by-frame counting."""
    print("\nTime series")
    values = np.load(DATA / "hmm_series.npz")["ref_cross_section"] if DATA.is_dir() else None
    if values is not None:
        start = time.process_time()
        series = stemcount.count_time_series(values)
        seconds = time.process_time() - start
        print(f"hmm_series: {seconds:.2f} CPU s, atoms per frame {series.count.sum(axis=1)}")
    rng = np.random.default_rng(0)
    atoms = [rng.integers(1, 11, 117)]
    for _ in range(4):
        step = rng.choice([-1, 1], 117) * (rng.random(117) < 0.05)
        atoms.append(np.maximum(atoms[-1] + step, 1))
    truth = np.array(atoms)
    values = truth + 0.35 * rng.standard_normal(truth.shape)
    series = stemcount.count_time_series(values)
    alone = [stemcount.count_atoms(frame, n_components=int(t.max())).count for frame, t in zip(values, truth, strict=True)]  # fmt: skip  # noqa: E501
    print(f"simulated, width/spacing 0.35: right {np.mean(series.count == truth):.3f},"
          f" frame by frame with the order known {np.mean(np.array(alone) == truth):.3f},"
          f" with the class means known {np.mean(np.round(values) == truth):.3f}")  # fmt: skip


def main() -> None:
    """Print all tables, or those named."""
    tables: dict[str, Any] = {
        "ptir": ptir_table, "wedge": wedge_table, "series": series_table, "sklearn": sklearn_table,
        "library": library_table, "views": views_table, "order": order_table,
        "noise": noise_table,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tables", nargs="*", choices=[*tables, []], help="all if none is named")
    parser.add_argument("--seeds", type=int, default=8, help="images in a row of `library`, `order`, `noise`")
    parser.add_argument("--particles", type=int, nargs="+", default=[10], help="seeds of those of `views`")
    arguments = parser.parse_args()
    stemcount.count_atoms(np.arange(1.0, 30.0) % 4 + 1)  # compile
    for name in arguments.tables or tables:
        if name in ("ptir", "wedge", "noise") and not DATA.is_dir():
            print(f"{name}: {NO_DATA}")
        elif name in ("library", "order", "noise"):
            tables[name](arguments.seeds)
        elif name == "views":
            views_table(arguments.particles)
        else:
            tables[name]()


if __name__ == "__main__":
    main()

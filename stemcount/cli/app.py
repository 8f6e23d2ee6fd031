"""The commands. Each imports what it needs when it runs, so that --help answers at once."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from traceback import print_exception
from typing import Annotated, Any

import typer

from .interrupt import asked_to_stop, catch_interrupts

app = typer.Typer(
    name="stemcount",
    help="From a few zone-axis HAADF-STEM images of a nanocrystal to all its atoms in 3D.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 110},
)

INTERRUPTED = 130  # what typer returns after Ctrl-C
RESUMED = ("run", "demo", "reconstruct")


def _out(default: str) -> Any:
    """The option --out of a command that writes something."""
    return typer.Option("--out", metavar="PATH", help=f"Where to write; default: {default}.")


ZoneAxis = Annotated[str, typer.Option("--zone-axis", metavar="U,V,W", help="Viewing direction, e.g. 1,1,0.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of all random numbers.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Threads; default: all cores.")]
Runs = Annotated[int | None, typer.Option("--runs", min=1, help="Repeated reconstructions.")]
Method = Annotated[
    str | None, typer.Option("--method", help="anneal, or sample: slower, with calibrated certainties.")
]
PixelSize = Annotated[
    float | None, typer.Option("--pixel-size", min=0, help="A; default: from the file's calibration.")
]
Signal = Annotated[
    str | None, typer.Option(help="Title or number of the image, where the file holds several.")
]
Average = Annotated[bool, typer.Option("--average", help="The file holds frames of one area: average them.")]


def _print_version(asked: bool) -> None:
    if asked:
        import stemcount

        print(stemcount.__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        # before the lack of a command is noticed
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    sample: Annotated[str, typer.Argument(metavar="SAMPLE", help="gold or core-shell.")] = "gold",
    out: Annotated[Path | None, _out("demo_result")] = None,
    seed: Seed = None,
    workers: Workers = None,
) -> None:
    """Reconstruct a sample particle and compare it with the truth."""
    from .commands.demo import run_demo

    run_demo(out or Path("demo_result"), seed=seed, workers=workers, sample=sample)


@app.command()
def run(
    project: Annotated[Path, typer.Argument(metavar="PROJECT.toml", help="Project file.")],
    out: Annotated[Path | None, _out("PROJECT_result, beside the project")] = None,
    runs: Runs = None,
    method: Method = None,
    seed: Seed = None,
    workers: Workers = None,
) -> None:
    """From a project's images to its atoms.

    Goes on where it was stopped.
    """
    from .pipeline import run_project
    from .result_folder.outputs import in_a_sentence

    folder = out or project.parent / f"{project.stem}_result"
    result = run_project(project, folder, runs=runs, method=method, seed=seed, workers=workers)
    print(in_a_sentence(result))
    print(f"Results in {folder}; look at them:  stemcount view {shlex.quote(str(folder))}")


@app.command()
def fit(
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="Image file (dm3, dm4, emd, ser, mrc, tif, hspy, ...).")
    ],
    out: Annotated[Path | None, _out("IMAGE_columns.csv, beside the image")] = None,
    pixel_size: PixelSize = None,
    signal: Signal = None,
    average: Average = False,
    columns: Annotated[Path | None, typer.Option(help="CSV of start positions x,y in A.")] = None,
    peak: Annotated[str | None, typer.Option(help="gaussian or tailed.")] = None,
    background: Annotated[
        str | None, typer.Option(help="constant, plane, smooth, a number or automatic, the default.")
    ] = None,
) -> None:
    """Find and fit the columns of one image; write them as a table."""
    from .commands.stages import fit_stage

    fit_stage(image, out, pixel_size, signal, average, columns, peak, background)


@app.command()
def count(
    table: Annotated[
        Path,
        typer.Argument(metavar="TABLE.csv", help="CSV with cross_section, as `stemcount fit` writes it."),
    ],
    out: Annotated[Path | None, _out("TABLE_counts.csv, beside the table")] = None,
    n_components: Annotated[
        int | None, typer.Option(min=1, help="Order of the mixture; default: found.")
    ] = None,
    max_components: Annotated[int | None, typer.Option(min=1, help="Highest order tried.")] = None,
    offset: Annotated[int | None, typer.Option(min=0, help="Atoms in the thinnest class, minus 1.")] = None,
    library: Annotated[Path | None, typer.Option(help="CSV of cross_section for 1, 2, ... atoms.")] = None,
    library_scale: Annotated[str, typer.Option(help="fixed, or free: known up to a factor.")] = "fixed",
) -> None:
    """Turn a table's cross-sections into atoms per column."""
    from .commands.stages import count_stage

    count_stage(table, out, n_components, max_components, offset, library, library_scale)


@app.command()
def reconstruct(
    tables: Annotated[
        list[Path], typer.Argument(metavar="TABLE.csv", help="One table of columns with counts per view.")
    ],
    zone_axis: Annotated[
        list[str], typer.Option("--zone-axis", metavar="U,V,W", help="One per table, e.g. 1,1,0.")
    ],
    species: Annotated[str, typer.Option(help="Chemical symbol.")],
    a: Annotated[float, typer.Option("--a", min=0, help="Lattice parameter, A.")],
    out: Annotated[Path | None, _out("reconstruction")] = None,
    counts: Annotated[str, typer.Option(help="soft or hard.")] = "soft",
    runs: Annotated[int, typer.Option(min=1)] = 10,
    method: Annotated[str, typer.Option(help="anneal or sample.")] = "anneal",
    edge_weight: Annotated[float | None, typer.Option(min=0, help="Default: estimated.")] = None,
    vacancies: Annotated[
        bool | None, typer.Option(help="Atoms inside may be missing. Default: evident ones only.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Workers = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler.")] = None,
) -> None:
    """Find the atoms from one table of counted columns per view."""
    from .commands.stages import reconstruct_stage

    target = out or Path("reconstruction")
    reconstruct_stage(
        tables,
        zone_axis,
        species,
        a,
        target,
        counts,
        method,
        scheduler,
        runs=runs,
        edge_weight=edge_weight,
        vacancies=vacancies,
        seed=seed,
        workers=workers,
    )


@app.command()
def simulate(
    structure: Annotated[Path, typer.Argument(metavar="STRUCTURE.xyz", help="XYZ file, cubic axes, A.")],
    zone_axis: Annotated[
        list[str], typer.Option("--zone-axis", metavar="U,V,W", help="Once per image, e.g. 1,1,0.")
    ],
    a: Annotated[float, typer.Option("--a", min=0, help="Lattice parameter, A.")],
    out: Annotated[Path | None, _out("STRUCTURE_images")] = None,
    pixel_size: Annotated[float, typer.Option(min=0.01, help="A.")] = 0.2,
    dose: Annotated[float, typer.Option(min=1, help="Electrons per A^2.")] = 1e5,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Make images of a structure, with the answer.

    Columns are Gaussian, noise is that of the dose.
    """
    from .commands.simulation import simulate_project

    folder = out or Path(f"{structure.stem}_images")
    simulate_project(structure, zone_axis, a, folder, pixel_size, dose, seed)


@app.command()
def library(
    species: Annotated[
        str, typer.Argument(metavar="SPECIES", help="Al, Ni, Cu, Rh, Pd, Ag, Ir, Pt, Au or Pb.")
    ],
    a: Annotated[float, typer.Option("--a", min=0, help="Lattice parameter, A.")],
    zone_axis: ZoneAxis,
    semi_convergence: Annotated[float, typer.Option(min=0, help="Of the probe, mrad.")],
    detector: Annotated[str, typer.Option(help="Inner and outer angle, mrad, e.g. 60,130.")],
    atoms: Annotated[int, typer.Option(min=1, help="Of the thickest column.")] = 30,
    voltage: Annotated[float, typer.Option(min=0, help="kV.")] = 300.0,
    thermal_displacement: Annotated[
        float | None, typer.Option(min=0, help="Rms along one direction, A; default: Debye model, 293 K.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, _out("e.g. Au_110_library.csv")] = None,
) -> None:
    """Simulate a library of cross-sections to count with.

    One for each number of atoms in a column: 1, 2 and so on. Further columns hold what they become where
    angles or thermal displacement are 5 % off; counting with a free factor allows for such errors.
    """
    from .commands.library import library_stage

    library_stage(
        species, a, zone_axis, atoms, voltage, semi_convergence, detector, thermal_displacement, seed, out
    )


@app.command()
def plan(
    zone_axis: Annotated[
        list[str], typer.Option("--zone-axis", metavar="U,V,W", help="Once per view, e.g. 1,1,0.")
    ],
    atoms: Annotated[int, typer.Option(min=20, help="Atoms of the particle, about.")] = 1000,
    count_error: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of columns counted off by one.")
    ] = None,
    class_width: Annotated[
        float | None, typer.Option(min=0, help="Spread of equal columns, in steps of one atom.")
    ] = None,
    kind: Annotated[str, typer.Option(help="faceted, stepped, rough or rod.")] = "rough",
    particles: Annotated[int, typer.Option(min=1, help="Random particles to try.")] = 5,
    method: Annotated[str, typer.Option(help="anneal or sample.")] = "sample",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    workers: Workers = None,
) -> None:
    """Say how many atoms an experiment would get wrong."""
    from .commands.plan import print_plan

    print_plan(zone_axis, atoms, count_error, class_width, kind, particles, method, seed, workers)


@app.command()
def view(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Result folder or image, or results to compare.")
    ],
    pixel_size: PixelSize = None,
    signal: Signal = None,
    average: Average = False,
) -> None:
    """Look at a result or an image in napari."""
    from .commands.look import view_path

    view_path(paths, pixel_size, signal, average)


@app.command()
def export(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="Result folder.")],
    format: Annotated[str, typer.Option("--format", help="xyz, cif, pdb, csv, ply, glb, pov or html.")],
    out: Annotated[Path | None, _out("atoms.FORMAT in the result folder")] = None,
) -> None:
    """Write the atoms of a result in another format."""
    from .commands.look import export_result

    print(export_result(result, format, out))


def main() -> None:
    """Run the command line: exit code 0, 2 for a user's mistake, 1 for anything else."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    catch_interrupts()
    try:
        code = app(arguments, standalone_mode=False)
    except Exception as error:
        if not asked_to_stop():
            sys.exit(_explain(error, debug, arguments))
        code = INTERRUPTED  # compiled code turns a Ctrl-C into a SystemError
    except KeyboardInterrupt:  # before typer looks after it, or after
        code = INTERRUPTED
    if code == INTERRUPTED:
        resumed = any(command in arguments for command in RESUMED)
        kept = "; what was finished is kept, and the same command goes on from there" if resumed else ""
        _say(f"stopped{kept}.")
        exec("")  # forgets a Ctrl-C inside an exec, for which `python -m` would end by the signal
        sys.exit(1)


def _explain(error: Exception, debug: bool = False, arguments: Sequence[str] = ()) -> int:
    """Say in one sentence what went wrong, after the traceback if that is wanted; return the exit code."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # a wrong option or argument
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            _say(_wrong_argument(error))
        return int(error.exit_code)
    if debug:
        print_exception(error)
    if _is_users_mistake(error):
        _say(_with_options(str(error), arguments))
        return 2
    if isinstance(error, OSError) and error.strerror:
        _say(f"{error.filename or 'a file of the results'}: {error.strerror}.")
        return 1
    if isinstance(error, AttributeError) and "Can't get attribute" in str(error):  # numba reads its old cache
        packages = Path(__file__).resolve().parents[2]
        _say(
            "the compiled code beside the program is that of another version; delete the files *.nbi in"
            f" {packages / 'stemcount'} and {packages / 'tomo'} (folders __pycache__), and run again."
        )
        return 1
    _say(f"unexpected {type(error).__name__}: {error} (--debug shows where)")
    return 1


def _wrong_argument(error: Any) -> str:
    """What is wrong with an option or argument, in one sentence."""
    message = " ".join(error.format_message().split()).removesuffix(".")
    message = message.replace("Input should be", "expected")
    for bound in ("greater", "less"):
        message = message.replace(f"expected {bound}", f"expected a number {bound}")
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message}; {context.command_path} --help says what it takes."


def _with_options(sentence: str, arguments: Sequence[str]) -> str:
    """A sentence on a parameter of the function that a command calls, with the option that sets it.

    Named are those with an underscore wherever they stand, others where they head the sentence.
    """
    commands: dict[str, Any] = vars(typer.main.get_command(app)).get("commands", {})
    command = next((commands[word] for word in arguments if word in commands), None)
    for option in () if command is None else command.params:
        if option.opts[0].startswith("--"):
            around = r"(?<![\w./-]){}(?![\w/])" if "_" in option.name else r"(?<!\S){}(?=:)"
            sentence = re.sub(around.format(option.name), option.opts[0], sentence)
    return sentence


def _is_users_mistake(error: Exception) -> bool:
    """InputError of any of the packages; asked by name, so that nothing is imported for it."""
    return any(cls.__name__ == "InputError" for cls in type(error).__mro__)


def _say(sentence: str) -> None:
    print(f"stemcount: {sentence}", file=sys.stderr)

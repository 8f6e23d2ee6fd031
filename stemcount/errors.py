"""What goes wrong through no fault of the program."""


class InputError(ValueError):
    """A user's mistake: one sentence that names the file or field and what was expected.

    The command line prints it and exits with code 2.
    """

"""What an argument of a command has to be."""

import argparse


def count(text: str) -> int:
    """Return a whole number of at least one.

    Raises:
        argparse.ArgumentTypeError: if it is less.
        ValueError: if it is none.

    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number

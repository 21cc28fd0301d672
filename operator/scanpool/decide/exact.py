"""Sums of floats that are carried from change to change, and exact: no change leaves a trace.

A float is a whole number of 2^-1074, the smallest there is. Summed as such, a sum rounds to what
`math.fsum` makes of the same numbers in any order, however many have come and gone in between.
"""

PLACES = 1074
"""Binary places of the smallest float (IEEE 754)."""
ONE = 1 << PLACES


def exact(number: float) -> int:
    """Return a finite float in units of 2^-1074."""
    numerator, denominator = number.as_integer_ratio()
    return numerator << (PLACES - denominator.bit_length() + 1)


def rounded(total: int) -> float:
    """Return the float that is nearest to a sum of such units."""
    return total / ONE

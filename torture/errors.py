"""What the suite looks for."""


class LostError(Exception):
    """Something was lost, half-written, or not told in a sentence: the suite fails."""

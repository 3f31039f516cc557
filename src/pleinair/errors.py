"""Everything that pleinair raises on purpose.

PleinairError
 +-- UsageError         a command was asked for something that it cannot mean
 +-- ImageError         a picture cannot be read, painted or written
 +-- VideoError         a clip cannot be read or painted
 +-- OutputError        a result cannot be put where it was asked to go
 +-- DataError          a training set is missing, empty or unreadable
 +-- PainterError       a painter is unknown, damaged or not one of ours
 +-- RecipeError        a recipe or a setting of it is not valid
 +-- TrainingError      a run went wrong in a way that more steps will not mend
 +-- CheckpointError    a run cannot be saved or resumed
 +-- ExportError        an exported graph does not agree with its network
 +-- MissingExtraError  an optional part of pleinair is not installed

A message says what was found, what was expected and what to do, in one sentence.
"""

import re

# Where str.splitlines parts lines.
_ENDS = re.compile("[\\n\\v\\f\\r\\x1c-\\x1e\\x85\\u2028\\u2029]")


class PleinairError(Exception):
    """Root of the tree: the command line turns it into one line and exit code 1."""

    def __str__(self) -> str:
        # Names out of files and archives stand in sentences as they are; what a terminal would
        # obey in them, the command line shows in other signs.
        return _ENDS.sub(lambda found: ascii(found[0])[1:-1], super().__str__())


class UsageError(PleinairError):
    """A command was asked for something that it cannot mean."""


class ImageError(PleinairError):
    """A picture cannot be read, painted or written."""


class VideoError(PleinairError):
    """A clip cannot be read or painted."""


class OutputError(PleinairError):
    """A result cannot be put where it was asked to go."""


class DataError(PleinairError):
    """A training set is missing, empty or unreadable."""


class PainterError(PleinairError):
    """A painter is unknown, damaged or not one of ours."""


class RecipeError(PleinairError):
    """A recipe or a setting of it is not valid."""


class TrainingError(PleinairError):
    """A run went wrong in a way that more steps will not mend."""


class CheckpointError(PleinairError):
    """A run cannot be saved or resumed."""


class ExportError(PleinairError):
    """An exported graph does not agree with its network."""


class MissingExtraError(PleinairError):
    """An optional part of pleinair is not installed."""


# As libraries say it whose exceptions are of no kind that means it.
_NO_MEMORY = (
    "allocate memory",  # of ONNX Runtime, torch and the system: failed to, cannot, can't
    "bad_alloc",
    "can't start new thread",
    "could not create a primitive",  # oneDNN, within torch
    # Python's own, where the error itself has no room.
    "error return without exception set",
    "without setting an exception",
    "failed to map segment",  # of a library on its way into memory
    "PosixThread",  # ONNX Runtime, of a thread without room for its stack
)


def lacks_memory(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, comes of too little memory."""
    while error is not None:
        if isinstance(error, MemoryError) or any(word in str(error) for word in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False

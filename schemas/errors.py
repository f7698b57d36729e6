"""The error tree. Every intentional raise of the project is one of these.

    RevealedError
    ├── FatalError            stop the run; the user must change something    (exit code 2)
    │   ├── RecipeError       the recipe says something that cannot be
    │   ├── InputError        a file or folder is not what the recipe says it is
    │   └── RootError         the warehouse root is missing, read-only or full
    ├── CeilingError          the build stopped itself: too much went wrong   (exit code 3)
    ├── PartitionError        one partition failed; the others go on
    │   └── CorruptError      a stored file no longer holds the bytes that were written
    └── TransientError        the same call may succeed later: it is retried

A message says what, where, and what would be right.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class RevealedError(Exception):
    """Root of the tree; `exit_code` is what the command line returns for it."""

    exit_code = 1


class FatalError(RevealedError):
    """The run cannot go on, and a user's change is needed."""

    exit_code = 2


class RecipeError(FatalError):
    """A recipe asks for something that does not exist or cannot be."""


class InputError(FatalError):
    """An input is missing or is not what the recipe says it is."""

    def __init__(self, path: str, problem: str, expected: str) -> None:
        super().__init__(f"{path}: {problem}; expected {expected}")
        self.path, self.problem, self.expected = path, problem, expected

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str, str]]:
        """Rebuild from the three values: errors travel between processes."""
        return type(self), (self.path, self.problem, self.expected)


class RootError(FatalError):
    """The warehouse root cannot be read or written."""


class CeilingError(RevealedError):
    """More failed than the recipe allows."""

    exit_code = 3


class PartitionError(RevealedError):
    """One partition cannot be made."""


class CorruptError(PartitionError):
    """A stored file differs from its record; `fingerprint` names the partition to make again."""

    def __init__(self, path: str, problem: str, fingerprint: str | None = None) -> None:
        super().__init__(f"{path}: {problem}; `revealed build` makes it again")
        self.path, self.problem, self.fingerprint = path, problem, fingerprint

    def __reduce__(self) -> tuple[type["CorruptError"], tuple[str, str, str | None]]:
        """Rebuild from the three values: errors travel between processes."""
        return type(self), (self.path, self.problem, self.fingerprint)


class TransientError(RevealedError):
    """A store or service failed in a way that may pass."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which of the known words was probably meant, for the end of a message.

    >>> nearest("bandz", ["bands", "rows"])
    'did you mean `bands`? Known: bands, rows'
    """
    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return f"{hint}Known: {', '.join(names)}"

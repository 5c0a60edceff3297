"""What can go wrong, for the user.

FraudnetError
├── InputError    exit status 2: a file, row, column, key or option is not as expected
└── CheckFailed   exit status 1: the work was done, and a gate or check says no
    └── LeakError  something was about to be fitted on what it could not have known

`fraudnet.device` has errors of its own, since it imports nothing but itself.
"""


class FraudnetError(Exception):
    """Base of the errors that end in one clear line instead of a traceback."""


class InputError(FraudnetError):
    """The input cannot be used; the message names the place and the mend."""


class CheckFailed(FraudnetError):  # noqa: N818  (a gate that says no is not an error of the program)
    """A gate or check failed; the message says which, by how much."""


class LeakError(CheckFailed):
    """Something was about to be fitted on what it could not have known: a fault of the program."""

"""What can go wrong on the device; every message is one line that names the place and the mend.

DeviceInputError          exit status 2
├── ArtifactError         the .tflite cannot be used
├── StoreError            the case store cannot be used
└── TransactionError      one transaction cannot be used: quarantined, the rest goes on
    └── ConflictError     its id is stored already, with other content
"""


class DeviceInputError(Exception):
    """What the scorer was given cannot be used."""


class ArtifactError(DeviceInputError):
    """The artifact is damaged, incomplete, or made for another version or runtime."""


class StoreError(DeviceInputError):
    """The case store cannot be opened, read or written."""


class TransactionError(DeviceInputError):
    """One transaction cannot be used."""


class ConflictError(TransactionError):
    """A transaction id came again with other content."""

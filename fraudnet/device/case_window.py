"""What a case keeps of its account: the last transactions as JSON, the flagged one last."""

import json
from collections.abc import Sequence

from fraudnet.device.statements import CASE_FIELDS

_IS_JSON = [name in ("columns", "reputation") for name in CASE_FIELDS]
_ENTRY = "{" + ", ".join(f'"{name}": %s' for name in CASE_FIELDS) + "}"
# In JSON it stands between values alone: within a text it is escaped.
_BETWEEN = "\n"


def window_json(rows: Sequence[tuple[object, ...]]) -> str:
    """Rows of `CASE_WINDOW`, oldest first, as a JSON list of objects.

    What the store holds as JSON goes in as it is, and one call encodes all the rest: a window has a
    hundred transactions and more, and a catch-up opens thousands of cases.
    """
    plain = [
        value for row in rows for value, is_json in zip(row, _IS_JSON, strict=True) if not is_json
    ]
    encoded = iter(json.dumps(plain, separators=(_BETWEEN, ":"))[1:-1].split(_BETWEEN))
    entries = (
        _ENTRY
        % tuple(
            value if is_json else next(encoded)
            for value, is_json in zip(row, _IS_JSON, strict=True)
        )
        for row in rows
    )
    return f"[{', '.join(entries)}]"

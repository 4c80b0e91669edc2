"""Changed files that carry a right digest again, to reach what is behind it."""

import json
from typing import Any

from accel.records import sealed, unsealed


def resealed(record: dict[str, Any], **changes: Any) -> str:
    """Return JSON of a record that was read and then changed, with the digest of what it says now."""
    return json.dumps(sealed({name: value for name, value in record.items() if name != "sha256"} | changes))


def content(text: str) -> dict[str, Any]:
    """Return the record of a file whose digest is right, without the digest."""
    return unsealed(json.loads(text))

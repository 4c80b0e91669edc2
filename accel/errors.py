"""The one exception that a user's input can cause."""


class EspalierError(ValueError):
    """Input that cannot be used: the message is one line that says what was wrong, where, and what would be right."""

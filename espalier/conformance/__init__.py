"""What a pattern or a selector of another package has to keep to, so that everything here works with it."""

from espalier.conformance.check import ConformanceError, check_pattern, check_selector

__all__ = ["ConformanceError", "check_pattern", "check_selector"]

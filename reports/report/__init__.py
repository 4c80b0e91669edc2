"""`espalier report`: measured, drawn, and written as one page."""

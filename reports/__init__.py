"""The front door: commands, studies, tables and figures; the only place that puts the stages in sequence."""

"""Data sets: their files, read and downloaded."""

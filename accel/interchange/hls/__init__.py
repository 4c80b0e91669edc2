"""A Program for people who write HLS: a C++ header and its fixed-point types."""

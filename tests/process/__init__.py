"""A whole relay as a process, from outside, while nothing goes wrong."""

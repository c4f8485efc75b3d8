"""Bytes to values and values to bytes, without I/O: framings, encodings for browsers, and why connections end.

Imports nothing else of the relay, and no Twisted. What is here keeps no clock and opens nothing: the same input always
gives the same output, however the bytes were cut.
"""

"""Bytes to values and values to bytes, without I/O: framings, encodings for browsers, and why connections end.

Imports no other package of the relay, and no Twisted. Nothing here reads a clock or opens anything: parsers and
encodings give the same output for the same input. How a stream was cut matters only to the framing `raw`.
"""

"""Relay: a broadcast daemon. Every message that anyone publishes reaches every subscriber, whole and in order."""

__version__ = "0.1.0"

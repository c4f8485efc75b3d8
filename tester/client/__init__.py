"""Receives what a relay sends and prints it."""

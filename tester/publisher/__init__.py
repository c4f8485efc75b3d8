"""Sends messages to a relay: random ones at a steady pace, or the lines of a file."""

"""Loads a relay, and other systems that do the same, and says what they delivered and what it cost."""

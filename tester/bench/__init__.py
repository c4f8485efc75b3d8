"""Puts load on a relay, and on other systems that do the same, and reports what they delivered and what it cost."""

"""A whole relay while something goes wrong: docs/reliability.md names each of these tests."""

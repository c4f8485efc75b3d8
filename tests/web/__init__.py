"""The web port of a whole relay, from outside and in browsers."""

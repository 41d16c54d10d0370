"""Experiments that take longer than a chapter should: each stores what it found in a file beside it."""

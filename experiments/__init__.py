"""Experiments that take longer than a chapter should: each stores what it found for the book."""

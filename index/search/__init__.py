"""Answers from an opened index: coarse search, descent to fine cells, probabilities."""

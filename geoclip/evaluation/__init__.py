"""Compares answers with true places: how far off, how sure of that, where, and whether two systems differ."""

"""Indexes at addresses."""

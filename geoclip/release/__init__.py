"""A model's directory: weights, gallery and their digests; fetched, opened, written."""

"""Indexes and releases at addresses: hf://, https://, s3:// and what else fsspec knows."""

"""Photo files: found, decoded in worker processes within limits, their EXIF data read. Workers load no torch."""

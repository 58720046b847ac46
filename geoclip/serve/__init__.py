"""An HTTP service: photos or vectors in, answers out, with nothing answered differently from the command line."""

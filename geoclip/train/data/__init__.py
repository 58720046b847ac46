"""Photos, tar shards and cached features as training batches. Importing this loads nothing: decoders import it."""

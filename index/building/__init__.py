"""Makes an index: plans blocks of cells, encodes them, stores the levels of the H3 tree, seals the directory."""

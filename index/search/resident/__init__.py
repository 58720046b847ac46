"""A search whose arrays all lie in a GPU's memory: one pass a level for a whole batch of queries, in torch."""

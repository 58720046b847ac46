"""What others get: the card of an index, and indexes and models on the Hugging Face hub."""

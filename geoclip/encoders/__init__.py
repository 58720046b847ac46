"""Places, photos and words to vectors of one space. Knows nothing of the search; never imports `index`."""

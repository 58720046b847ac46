"""Tables from outside: coordinates, labels, and files of vectors."""

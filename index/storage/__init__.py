"""What the directory of an index holds, written by `building` and read by `search`: manifest, lists, gallery, prior."""

"""What tests of several rooms share: made-up worlds, hostile files."""

"""What tests of several rooms share: commands, pictures, small towers, made-up worlds, hostile files."""

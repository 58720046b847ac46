"""Campaigns that try to break the project: kills, flipped bits, hostile files, exchanges, full disks, fuzzing."""

"""From vectors to answers: candidates searched, a point chosen, places named, probabilities calibrated."""

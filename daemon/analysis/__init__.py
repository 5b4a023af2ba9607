"""What is in the frames: features, cuts, shots, verdicts."""

"""From a container to frames: probing, packets, the picture of a frame, damage."""

"""From a pick to a proven, published file."""

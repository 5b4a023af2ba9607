"""A film to rows: decoded, measured and scored, here or elsewhere; the stages are joined, nothing is stored."""

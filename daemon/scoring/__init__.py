"""From pictures to numbers: metrics, weights, batches."""

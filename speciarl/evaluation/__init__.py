"""From a trained policy to scores: predict, judge, metrics."""

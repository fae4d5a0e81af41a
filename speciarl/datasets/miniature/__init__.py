"""A rendered stand-in for the six benchmarks: true layouts and class names, drawn images."""

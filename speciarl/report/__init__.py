"""The report: tables, charts and one self-contained page, from scores and training metrics."""

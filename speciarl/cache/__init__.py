"""The verdict store: what a verifier has said is never asked again.

One DuckDB file that many processes share, outside the graph of the pipeline. Reads come from an
index in memory, or in a mapped file beside the store once that has thousands of rows; the store is
opened for short transactions only. A new one begins with the precomputed verdicts; what else a
judge has said is in the old one only, unless it was exported.
"""

from speciarl.cache.reading import query_store
from speciarl.cache.verdict_cache import VerdictCache

__all__ = ["VerdictCache", "query_store"]

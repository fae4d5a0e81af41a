"""Which image is shown when: all epochs of a run laid out in one list before it starts.

TRL resumes exactly only within its first epoch; with every epoch flattened into one
pre-permuted list a run has no other.
"""

import numpy as np
import polars as pl


def flatten_epochs(samples: pl.DataFrame, count: int, seed: int) -> pl.DataFrame:
    """`count` rows of `samples`, epoch after epoch, each in its own seeded order.

    Returns:
        The rows in the order of training with a `row` column (Int64, 0-based): the group that
        the rollouts of a row belong to.
    """
    epochs = -(-count // samples.height)
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(samples.height) for _ in range(epochs)])[:count]
    return samples[order.tolist()].with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))

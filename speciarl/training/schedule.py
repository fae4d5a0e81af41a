"""Which image is shown when: the epochs of a run laid out in one list, which has no end.

TRL resumes exactly only within its first epoch; with every epoch flattened into one
pre-permuted list a run has no other.
"""

import numpy as np
import polars as pl


def flatten_epochs(samples: pl.DataFrame, count: int, seed: int, first: int = 0) -> pl.DataFrame:
    """`count` rows of `samples`, epoch after epoch, each in its own seeded order.

    Args:
        first: number of the row to begin with; what comes before it is the same for every count.

    Returns:
        The rows in the order of training with a `row` column (Int64, from `first` on): the group
        that the rollouts of a row belong to.
    """
    epochs = -(-(first + count) // samples.height)
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(samples.height) for _ in range(epochs)])
    shown = samples[order[first : first + count].tolist()].with_row_index("row", first)
    return shown.with_columns(pl.col("row").cast(pl.Int64))

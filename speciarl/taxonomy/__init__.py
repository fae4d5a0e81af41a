"""What the classes are called, what they are kinds of, and how a prediction relates to them."""

from speciarl.taxonomy.taxonomy import Taxonomy
from speciarl.taxonomy.tree import Description, Relation

__all__ = ["Description", "Relation", "Taxonomy"]

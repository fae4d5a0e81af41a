"""What the classes are called, what they are kinds of, and how an answer relates to them."""

from speciarl.taxonomy.graph import Taxonomy
from speciarl.taxonomy.relating import Description, Relation

__all__ = ["Description", "Relation", "Taxonomy"]

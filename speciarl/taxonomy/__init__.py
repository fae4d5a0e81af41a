"""What the classes are called, what they are kinds of, and how an answer relates to them."""

from speciarl.taxonomy.graph import Taxonomy
from speciarl.taxonomy.relating import Relation

__all__ = ["Relation", "Taxonomy"]

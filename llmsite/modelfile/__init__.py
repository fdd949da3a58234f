"""From a recipe to an installed model."""

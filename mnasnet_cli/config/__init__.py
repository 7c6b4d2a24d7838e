"""The typed configuration of a run: sections, recipes, and how they are loaded."""

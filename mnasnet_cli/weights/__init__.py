"""Import of published weights: registry, download, formats and conversion."""

"""From archives to manifests: sources, download, one reader per benchmark, training selections."""

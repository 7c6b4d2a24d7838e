"""Box geometry: overlaps, box coding, anchors, matching and non-maximum suppression."""

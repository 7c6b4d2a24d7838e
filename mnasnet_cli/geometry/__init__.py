"""Mathematics of boxes: overlaps, coding, anchors, matching, suppression. No files and no configuration."""

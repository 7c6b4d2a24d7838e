"""Pure maths on boxes: overlaps, coding, anchors, matching, suppression. No input or output, no configuration."""

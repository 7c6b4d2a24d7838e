"""Images with boxes: the layouts and annotation formats in which people keep them."""

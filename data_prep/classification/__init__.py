"""Images with one class each: the layouts in which people keep them."""

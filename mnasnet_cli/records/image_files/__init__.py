"""Image files: what kind they are, their headers and colour profiles, and how Pillow opens them."""

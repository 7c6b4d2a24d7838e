"""What people look at: HTML pages that need nothing else, charts in them, and labels on pictures."""

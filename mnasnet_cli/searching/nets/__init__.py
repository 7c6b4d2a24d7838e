"""The nets of a search: the space, the width that meets a latency, who competes, and what they inherit."""

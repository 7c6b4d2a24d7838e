"""What a run is and what it gave: its page, its model card, and the leaderboard of several runs."""

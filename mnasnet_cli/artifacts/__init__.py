"""What a trained net becomes for phones, servers and other programs, and what runs it there."""

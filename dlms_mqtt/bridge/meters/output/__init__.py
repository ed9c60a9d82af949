"""What a meter says: its topics, its device message, and what is held back or completed on the way."""

"""What is read, when, and what it comes to: pure, without a line and without a broker."""

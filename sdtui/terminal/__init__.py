"""What this terminal can do, and pictures as bytes."""

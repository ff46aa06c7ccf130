"""What this terminal can do, and pictures as bytes and cells. No Textual here."""

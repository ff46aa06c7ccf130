"""What each kind of network takes and gives: torch modules wrapped as sources, one kind a module."""

"""Is everything here as it should be? What sdtui knows of this machine, in findings."""

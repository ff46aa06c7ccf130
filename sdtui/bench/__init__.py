"""What a picture takes on this machine: time and memory, each measured in a process of its own."""

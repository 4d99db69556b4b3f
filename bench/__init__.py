"""What `make bench` runs: the service beside what it replaces, all in one run on one machine."""

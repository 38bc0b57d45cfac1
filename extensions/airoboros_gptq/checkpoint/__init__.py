"""What is on the disk: configs, weight files, tensor headers. Standard library only."""

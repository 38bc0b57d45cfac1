"""What is known of a folder before it is loaded. Standard library only."""

"""The part that is compiled on the user's machine, where it has a compiler."""

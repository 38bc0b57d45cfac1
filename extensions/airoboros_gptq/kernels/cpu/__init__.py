"""The kernel and the attention in C++, compiled on the user's machine where it has a compiler."""

"""Engines that `bench --against` measures beside this one: a module each, run as a process of its own."""

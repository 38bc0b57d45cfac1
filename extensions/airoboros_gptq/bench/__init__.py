"""`python -m airoboros_gptq bench`: how fast a model loads, reads a prompt and answers, and what the machine allows."""

"""From a checkpoint folder to a transformers model."""

"""From token ids to token ids, on a loaded model."""

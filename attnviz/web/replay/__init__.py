"""Replay: one training's checkpoints, and what happens without a head."""

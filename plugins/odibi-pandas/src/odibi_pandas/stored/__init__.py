"""Frames as Arrow files that give them back as they were."""

"""``odibi ui``: one page that follows runs while they go on, and shows those that are past."""

"""One format a module; each is a component whose fields are its options."""

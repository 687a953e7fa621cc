"""One execution of a plan: the work queue, one node's task, outcomes, retry."""

"""Jobs: what the loops of Batch do, step by step; deciding is ``scheduler.queueing``'s."""

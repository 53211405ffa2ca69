"""Shipping container logs to CloudWatch Logs: followed line by line, sent in batches, resumed where it stopped."""

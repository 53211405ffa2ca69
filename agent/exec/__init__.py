"""ECS Exec on the host: commands that people run in a task's containers, each on a socket of its own."""

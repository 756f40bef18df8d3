"""What a job, a timer and a reaction are, and the worker that runs them."""

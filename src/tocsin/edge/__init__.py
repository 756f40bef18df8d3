"""What both surfaces, pages and API, share: who is asking, what a request carries, how problems become answers."""

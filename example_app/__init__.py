"""An internal LLM gateway with the middleware in it, and a scripted upstream, a client and a table to see it work."""

"""`llamaburn serve`: the REST API. Only the command imports this, and it needs the extra [web]."""

"""How to talk to each kind of server: one public module a kind, named as on the command line."""

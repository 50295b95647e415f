"""Eval sets in the formats of others: one module a format, with `HELP` and `convert`.

`convert` takes the file's rows and yields questions as an eval set file has them; a row that lacks
a field raises KeyError, one that is otherwise unfit any LookupError, TypeError or ValueError.
`COLUMNS` are the names of a CSV file's columns where such files have no header.
"""

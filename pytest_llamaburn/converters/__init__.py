"""Eval sets in the formats of others: one module a format, with `HELP` and `convert`.

`convert` takes the file's rows, each a `_row.Row`, and yields a question for each, as an eval set
file has them. The functions of `_row` read fields and raise DatasetError with place and field.
`COLUMNS` are the names of a CSV file's columns where such files have no header. A module with
`ANSWERS`, the ways in which its answers are written, takes one of them, or None, as well. One with
`parts` takes several files: it tells those of questions from those of examples, and `subject_of`
says the subject of a file.
"""

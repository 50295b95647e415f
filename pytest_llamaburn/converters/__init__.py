"""Converters from other eval set formats: one module per format, with `HELP` and `convert`.

`convert` takes the rows of a file, each a `_row.Row`, and yields one question of an eval set for
each. The functions of `_row` read fields and raise DatasetError with place and field. A module may
also have:
- `COLUMNS`: the column names of CSV files without a header.
- `ANSWERS`: the notations of answers; `convert` then takes one of them, or None, as well.
- `parts`: separates question files from example files; `subject_of` returns the subject of a file.
"""

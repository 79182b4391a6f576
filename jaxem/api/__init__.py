"""The public functions `fit`, `fit_many` and `sweep`, each in a file of its own.

May import: every room below; not the guests. Look first at `one_data_set` (`fit`).
"""

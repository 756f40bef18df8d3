"""Small faults put into the code one at a time, to see whether a test notices: `make mutants`.

`changes` says which faults there are, `covering` which tests go through a line, `trial` runs them on one fault, and
`__main__` chooses, goes on where an earlier run ended, and reports.
"""

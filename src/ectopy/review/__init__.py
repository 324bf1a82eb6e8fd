"""Review: a reader looks at an automatic analysis, corrects it and confirms it.

Everything of a review lies in ``OUT/<recording>.review/``, beside the results, which are never changed.
"""

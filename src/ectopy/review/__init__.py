"""Review: a reader looks at an automatic analysis, corrects it and confirms it."""

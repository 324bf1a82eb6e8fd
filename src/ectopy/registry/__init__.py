"""MLflow: runs, model versions, promotion and the pyfunc model. The only package that imports MLflow."""

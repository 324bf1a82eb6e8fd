"""Libraries that coverage does not follow.

On Python 3.11 all Python code takes two to four times longer while coverage follows it, also code that it does not
measure. These calls run long in libraries, and none of them comes back to the code of ectopy, except to what is
also called elsewhere.
"""

import sys
from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from typing import Any, ParamSpec, TypeVar
from warnings import catch_warnings

P = ParamSpec("P")
R = TypeVar("R")


def untraced(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function, so that coverage does not follow it."""

    @wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> R:
        tracer = sys.gettrace()
        sys.settrace(None)
        try:
            return function(*arguments, **options)
        finally:
            sys.settrace(tracer)

    return call


def leave_out_mlflow() -> None:
    """Do not follow what writes to the tracking store and reads from it."""
    import mlflow

    with catch_warnings(action="ignore"):  # about type hints of its own
        import mlflow.pyfunc

    pyfunc: Any = mlflow.pyfunc
    pyfunc.log_model = untraced(pyfunc.log_model)
    for owner in (mlflow, mlflow.artifacts, mlflow.MlflowClient):
        for name, function in list(vars(owner).items()):
            if isfunction(function) and not name.startswith("_"):
                setattr(owner, name, untraced(function))


def leave_out_keras() -> None:
    """Do not follow how JAX compiles a step of training, nor how a model is written, read and exported."""
    import keras

    run_step = keras.Model._make_function
    keras.Model._make_function = lambda model, step, **options: run_step(model, untraced(step), **options)
    for name in ("export", "save"):
        setattr(keras.Model, name, untraced(getattr(keras.Model, name)))
    keras.saving.load_model = untraced(keras.saving.load_model)


def leave_out_matplotlib() -> None:
    """Do not follow how a figure is drawn."""
    from matplotlib.figure import Figure

    Figure.savefig = untraced(Figure.savefig)  # type: ignore[method-assign]


LEFT_OUT: dict[str, Callable[[], Any]] = {
    "ectopy.registry.model_versions": leave_out_mlflow,
    "ectopy.model.network": leave_out_keras,
    "matplotlib.figure": leave_out_matplotlib,
}
"""What is done where a test has imported a module."""


def leave_out_libraries() -> None:
    """Leave out each library that the tests which were collected have imported."""
    for name, leave_out in LEFT_OUT.items():
        if name in sys.modules:
            leave_out()

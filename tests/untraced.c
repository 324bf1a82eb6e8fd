/* Lets coverage follow the code of one folder alone, on Python 3.11: see untraced.py.
 *
 * A program may bring its own interpreter of functions (PEP 523). This one is Python's, but while a function of
 * another folder runs, Python does not know what coverage wants to be told of, and does not stop at each line.
 */

#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_frame.h>

static PyObject *folder;
static PyTypeObject *tracer; /* of coverage */
static Py_tracefunc tell;    /* it of a line */

/* Neither a debugger nor nothing follows this thread, and what runs is no function of coverage itself. */
static int is_followed(PyThreadState *thread)
{
    return thread->c_traceobj && Py_TYPE(thread->c_traceobj) == tracer && !thread->tracing && !thread->c_profilefunc;
}

static void follow(PyThreadState *thread, Py_tracefunc function)
{
    thread->c_tracefunc = function;
    thread->cframe->use_tracing = function ? 255 : 0;
}

static PyObject *run(PyThreadState *thread, _PyInterpreterFrame *frame, int throwing)
{
    if (!is_followed(thread))
        return _PyEval_EvalFrameDefault(thread, frame, throwing);
    Py_tracefunc of_caller = thread->c_tracefunc;
    int is_inside = PyUnicode_Tailmatch(frame->f_code->co_filename, folder, 0, PY_SSIZE_T_MAX, -1) == 1;
    follow(thread, is_inside ? tell : NULL);
    PyObject *result = _PyEval_EvalFrameDefault(thread, frame, throwing);
    if (is_followed(thread)) /* coverage may have ended */
        follow(thread, of_caller);
    return result;
}

/* To be called where coverage follows already. */
void follow_only(PyObject *path)
{
    PyThreadState *thread = PyThreadState_Get();
    folder = Py_NewRef(path);
    tracer = Py_TYPE(thread->c_traceobj);
    tell = thread->c_tracefunc;
    _PyInterpreterState_SetEvalFrameFunc(PyInterpreterState_Get(), run);
}

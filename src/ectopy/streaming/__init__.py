"""A signal that is still running, from its source to what is told of it: ``ectopy stream``.

=================  =========================================================================
sources            what a source is; a recording played at any speed
pipes              standard input: CSV or raw numbers
lab_streaming      a stream of the Lab Streaming Layer
lines              updates as JSON lines
recorder           samples of a source written as a WFDB record
session            a source played through a stream, and told to listeners
results            the results of what was played, as ``ectopy score`` writes them
server             the page with the running signal
=================  =========================================================================
"""

"""Live analysis: the beats of a signal that is still running, from its samples to final labels.

=================  =========================================================================
front_end          samples of a recorder to filtered samples at 125 Hz
candidates         candidates for beats, a fifth of a second after they occur
selection          beats among the candidates, with two seconds of hindsight
beat_features      features of a beat, from the beats before it only
paroxysm           supraventricular tachycardia, which begins suddenly
model_files        where streaming models are
network            the forward GRU in numpy, one step per beat
stream             :class:`Stream`: samples in, provisional and final beats out
state              the state of a stream in a file
analysis           a recording analysed with a streaming model
examples           training records as a stream sees them
training           the forward GRU in Keras
fold_answers       what networks say of patients that they have not seen
=================  =========================================================================
"""

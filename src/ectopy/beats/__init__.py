"""Find the beats of a recording: lead selection, QRS detection, a window of signal for each beat."""

"""Turn labelled beats into events and rates: runs, pauses, atrial fibrillation, heart rate variability."""

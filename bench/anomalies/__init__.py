"""`python -m bench.anomalies`: planted faults in real loads, found by the detectors as they are shipped."""

"""Traces of the simulator held against the models; tests/model/check_traces runs it."""

"""The written standard: observations and a StandardProfile in, findings and a decision out.

Pure: no I/O, no clock, no framework. Everything here is a value or a function of values.
"""

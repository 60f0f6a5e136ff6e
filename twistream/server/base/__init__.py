"""
The base classes of `Context`, each with one kind of methods.
"""

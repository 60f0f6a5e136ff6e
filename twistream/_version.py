"""
The version, for the package and for the build.
"""

__version__ = "0.1.0.dev0"

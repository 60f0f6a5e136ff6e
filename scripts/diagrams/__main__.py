"""
Write all diagrams.
"""

from scripts.diagrams import ALL, DIRECTORY

for name, diagram in ALL.items():
    (DIRECTORY / name).write_text(diagram.render())

"""goldwatch: continuous production monitoring of deployed models.

Nothing is imported here: a replay worker starts from this package inside whatever interpreter the model needs.
"""

__version__ = "0.1.0"

"""Every picture ever made, and the request that made it."""

from sdtui.history.record import Origin, PictureRecord
from sdtui.history.store import History, HistoryError, Search

__all__ = ["History", "HistoryError", "Origin", "PictureRecord", "Search"]

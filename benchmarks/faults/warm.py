"""Imported by the server of processes before it forks: libraries and tables that a command would load for seconds.

Nothing here may start a thread, which a forked process would not have.
"""

import faiss
import numpy as np
import open_clip
import scipy.spatial

from geoclip.answers.place_names import shared_place_names

__all__ = ["faiss", "open_clip", "scipy"]

shared_place_names().names(np.zeros((1, 2)))

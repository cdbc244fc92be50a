"""What listens to a descent: history, early stopping, progress."""

from fallline.listeners.early_stopping import CycleStopping, EarlyStopping
from fallline.listeners.history import History
from fallline.listeners.listener import Epoch, Listener, Progress

__all__ = ["CycleStopping", "EarlyStopping", "Epoch", "History", "Listener", "Progress"]

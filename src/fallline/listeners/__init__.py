"""What listens to a descent: history, early stopping, the recorder, progress."""

from fallline.listeners.early_stopping import CycleStopping, EarlyStopping
from fallline.listeners.history import History
from fallline.listeners.listener import Epoch, Listener, Progress, Repair
from fallline.listeners.recorder import Recorder

__all__ = ["CycleStopping", "EarlyStopping", "Epoch", "History", "Listener", "Progress", "Recorder", "Repair"]
